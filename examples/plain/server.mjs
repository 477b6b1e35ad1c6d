// Plain: a small Node app without any SDK; `node --import @tsdev/sdk/register server.mjs` traces it as it is.
import { createServer } from "node:http";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
await pool.query("CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, text text NOT NULL)");

async function findNote(id) {
  const { rows } = await pool.query("SELECT id, text FROM notes WHERE id = $1", [id]);
  return rows[0];
}

async function listNotes() {
  const { rows } = await pool.query("SELECT id FROM notes ORDER BY id");
  const notes = [];
  for (const { id } of rows) notes.push(await findNote(id));
  return notes;
}

async function addNote(request) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const { text } = JSON.parse(body);
  const { rows } = await pool.query("INSERT INTO notes (text) VALUES ($1) RETURNING id, text", [text]);
  return rows[0];
}

const server = createServer(async (request, response) => {
  const answer = (status, value) => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
  };
  try {
    const { pathname } = new URL(request.url, "http://localhost");
    const id = /^\/notes\/(\d+)$/.exec(pathname)?.[1];
    if (pathname === "/healthz" || pathname === "/readyz") answer(200, { ok: true });
    else if (pathname === "/notes" && request.method === "POST") answer(201, await addNote(request));
    else if (pathname === "/notes") answer(200, await listNotes());
    else if (id) {
      const note = await findNote(id);
      answer(note ? 200 : 404, note ?? { error: "no such note" });
    } else answer(404, { error: "no such page" });
  } catch (error) {
    console.error(error);
    answer(500, { error: "something went wrong" });
  }
});
server.listen(process.env.PORT ?? 3000, () => console.log(`listening on ${server.address().port}`));

process.on("SIGTERM", () => server.close(() => pool.end()));
