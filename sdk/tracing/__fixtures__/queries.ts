// App: queries in a loop through pg and Kysely, and calls to the outside; `@` marks the lines that tests look for.
import http from "node:http";
import { get, request as makeRequest } from "node:http";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";

interface Database {
  customers: { id: number; name: string };
}

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.POOL_MAX ?? 5) });
const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
await pool.query("CREATE TABLE IF NOT EXISTS customers (id int PRIMARY KEY, name text NOT NULL)");
const upstream = process.env.UPSTREAM ?? "";

async function customer(id: number): Promise<unknown> {
  const { rows } = await pool.query("SELECT * FROM customers WHERE id = $1", [id]); // @pool
  return rows[0];
}

async function poolLoop(ids: number[]): Promise<void> {
  for (const id of ids) await customer(id); // @pool-loop
}

async function kyselyCustomer(id: number): Promise<unknown> {
  return await db.selectFrom("customers").selectAll().where("id", "=", id).executeTakeFirst(); // @kysely
}

async function kyselyLoop(ids: number[]): Promise<void> {
  for (const id of ids) await kyselyCustomer(id); // @kysely-loop
}

async function transaction(): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    await client.query("SELECT 1 AS one"); // @client
    await client.query("COMMIT");
  } finally {
    client.release();
  }
}

function withCallback(): Promise<void> {
  return new Promise((done, failed) => {
    pool.query("SELECT 2 AS two", (error: Error | undefined) => { // @callback
      if (error) return failed(error);
      void afterCallback().then(done, failed);
    });
  });
}

async function afterCallback(): Promise<void> {
  await pool.query("SELECT 3 AS three"); // @after-callback
}

let backgroundWanted = false;
// Outside any request; its query waits for the one connection, which a request has.
setInterval(() => {
  if (!backgroundWanted) return;
  backgroundWanted = false;
  void pool.query("SELECT 'background'"); // @background
}, 5);

async function holdConnection(): Promise<void> {
  backgroundWanted = true;
  await pool.query("SELECT pg_sleep(0.2)");
}

async function callFetch(): Promise<string> {
  const answer = await fetch(`${upstream}/labels/77?b=2&a=1`); // @fetch
  return await answer.text();
}

function callHttp(): Promise<string> {
  return new Promise((done, failed) => {
    get(`${upstream}/plain`, (answer) => { // @http
      let text = "";
      answer.on("data", (chunk) => (text += chunk));
      answer.on("end", () => done(text));
    }).on("error", failed);
  });
}

function postHttp(body: string): Promise<number> {
  return new Promise((done, failed) => {
    const sent = makeRequest(`${upstream}/charges`, { method: "POST", headers: { "content-type": "application/json" } }, (answer) => {
      answer.resume();
      answer.on("end", () => done(answer.statusCode ?? 0));
    });
    sent.on("error", failed);
    sent.end(body);
  });
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  let body = "";
  for await (const chunk of request) body += chunk;
  return body;
}

const server = http.createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  try {
    let result: unknown = null;
    if (pathname === "/pool") await poolLoop([1, 2, 3]);
    else if (pathname === "/kysely") await kyselyLoop([1, 2, 3]);
    else if (pathname === "/transaction") await transaction();
    else if (pathname === "/callback") await withCallback();
    else if (pathname === "/hold") await holdConnection();
    else if (pathname === "/fetch") result = await callFetch();
    else if (pathname === "/http") result = await callHttp();
    else if (pathname.startsWith("/pay")) result = await postHttp(await readBody(request));
    else if (pathname === "/listener") {
      // As body parsers do: the handler goes on inside a listener of the request.
      request.on("data", () => {});
      request.on("end", () => void callHttp().then((text) => response.end(text)));
      return;
    } else if (pathname === "/mail") {
      const body = await readBody(request);
      await fetch(`${upstream}/mails?token=abcdefgh12345678`, { method: "POST", body, headers: { "content-type": "application/json", authorization: "Bearer abcdefgh12345678" } });
      await fetch(`${upstream}/mails?token=abcdefgh12345678`, { method: "POST", body, headers: { "content-type": "application/json" } });
    } else if (pathname === "/reset") result = await fetch(`${upstream}/reset`).then((answer) => answer.status, (error) => String(error.cause?.code));
    response.end(JSON.stringify({ result }));
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
server.listen(Number(process.env.PORT), () => console.log(`listening on ${(server.address() as { port: number }).port}`));
