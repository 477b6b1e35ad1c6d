// For tests: ClickHouse's HTTP interface on a free port, with chDB behind it in place of a server.
//
// As a server does it (https://clickhouse.com/docs/interfaces/http): the statement in the address or the body, rows of an
// INSERT as the body, parameters and settings in the address, compressed bodies, errors with their code in a header.
import { randomUUID } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { gunzip, gzip, inflate, zstdCompress, zstdDecompress } from "node:zlib";
import { Session } from "chdb";
import { createChdbConnection } from "chdb/connection";

export interface ClickHouseBridge {
  /** For `CLICKHOUSE_URL`. */
  url: string;
  /** Answers every request with this error instead, as a server does that is overloaded; null ends it. */
  failWith(failure: { code: number; type: string } | null): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Parameters of the address that are no settings of the engine. */
const notSettings = new Set([
  "query",
  "query_id",
  "session_id",
  "database",
  "user",
  "password",
  "role",
  "default_format",
  "readonly",
  "wait_end_of_query",
  "enable_http_compression",
  "send_progress_in_http_headers",
  "http_headers_progress_interval_ms",
]);

const unpack: Record<string, (body: Buffer) => Promise<Buffer>> = {
  gzip: promisify(gunzip),
  deflate: promisify(inflate),
  zstd: promisify(zstdDecompress),
};
const pack: Record<string, (body: Buffer) => Promise<Buffer>> = {
  gzip: promisify(gzip),
  zstd: promisify(zstdCompress),
};

/** Statuses by ClickHouse's code of the error; 500 for the others. */
const statuses: Record<number, number> = { 60: 404, 81: 404, 62: 400, 47: 404, 164: 403, 497: 403, 516: 403, 241: 507 };

/** Port 0 takes any free one. */
export async function startClickHouseBridge(directory: string, port = 0): Promise<ClickHouseBridge> {
  const data = resolve(directory, "bridge");
  const bodies = resolve(directory, "bridge-bodies");
  await mkdir(data, { recursive: true });
  await mkdir(bodies, { recursive: true });
  const root = new Session(data, { connectionArgs: ["--max_server_memory_usage=1500000000"] });
  let failure: { code: number; type: string } | null = null;

  const server = createServer(async (request, response) => {
    try {
      if (failure !== null) throw Object.assign(new Error("asked for by the test"), failure);
      await answer(request, response, data, bodies);
    } catch (error) {
      refuse(response, error as Error & { code?: number; type?: string });
    }
  }).listen(port, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  return {
    url: `http://default:@127.0.0.1:${(server.address() as AddressInfo).port}/default`,
    failWith(given) {
      failure = given;
    },
    async [Symbol.asyncDispose]() {
      await new Promise((closed) => {
        server.close(closed);
        server.closeAllConnections();
      });
      root.close();
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, data: string, bodies: string): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://bridge");
  const asked = searchParams.get("query") ?? "";
  const body = await readBody(request);
  if (pathname === "/ping" || (asked === "" && body.length === 0)) {
    response.end("Ok.\n");
    return;
  }
  if (searchParams.has("session_id")) throw refusal(48, "NOT_IMPLEMENTED", "the bridge keeps no sessions");
  // A session for each request: its settings are nobody else's.
  const connection = createChdbConnection({ path: data });
  const run = (query: string, format = "TabSeparated") =>
    connection.query({ query, clickhouse_settings: { default_format: format } } as never);
  const file = join(bodies, `${randomUUID()}.rows`);
  try {
    const database = searchParams.get("database") ?? "default";
    if (database !== "default") await run(`USE \`${database.replaceAll("`", "")}\``);
    for (const set of settings(searchParams)) await run(set);
    const readonly = request.method === "GET" ? "2" : searchParams.get("readonly");
    if (readonly !== null && readonly !== "0") await run(`SET readonly = ${Number(readonly)}`);
    const rows = body.length > 0 ? /^\s*INSERT\s[\s\S]*?(?=\s+FORMAT\s+\w+\s*$)/i.exec(asked) : null;
    let sql = asked === "" ? body.toString() : `${asked}\n${body.toString()}`;
    if (rows !== null) {
      await writeFile(file, body);
      sql = `${rows[0]} FROM INFILE ${quote(file)} ${asked.slice(rows[0].length).trim()}`;
    }
    const format = searchParams.get("default_format") ?? "TabSeparated";
    const result = await run(sql, format);
    await send(request, response, await bytesOf(result.stream), searchParams);
  } finally {
    await connection.close();
    await rm(file, { force: true });
  }
}

/** Parameters of the query first, then settings, in the order of the address. */
function settings(address: URLSearchParams): string[] {
  const sets: string[] = [];
  for (const [name, value] of address) {
    if (!/^\w+$/.test(name) || notSettings.has(name)) continue;
    // A parameter's text is what stands in the address: escaped, as in a TabSeparated field.
    if (name.startsWith("param_")) sets.unshift(`SET ${name} = ${quote(value)}`);
    else sets.push(`SET ${name} = ${/^-?\d+(\.\d+)?$/.test(value) ? value : quote(value)}`);
  }
  return sets;
}

async function send(
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
  address: URLSearchParams,
): Promise<void> {
  response.setHeader("X-ClickHouse-Query-Id", address.get("query_id") ?? randomUUID());
  response.setHeader("X-ClickHouse-Summary", JSON.stringify({ read_rows: "0", written_rows: "0", elapsed_ns: "0" }));
  const accepted = String(request.headers["accept-encoding"] ?? "").split(/\s*,\s*/);
  const coding = accepted.find((name) => name in pack);
  if (address.get("enable_http_compression") === "1" && coding !== undefined) {
    response.setHeader("Content-Encoding", coding);
    response.end(await pack[coding]!(body));
  } else response.end(body);
}

function refuse(response: ServerResponse, { code, type, message }: Error & { code?: number; type?: string }): void {
  const number = Number(code ?? 1001);
  response.statusCode = statuses[number] ?? 500;
  response.setHeader("X-ClickHouse-Exception-Code", String(number));
  response.end(`Code: ${number}. DB::Exception: ${message} (${type ?? "STD_EXCEPTION"}) (version 26.7.2.1 (bridge))\n`);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const body = await bytesOf(request);
  const coding = String(request.headers["content-encoding"] ?? "identity");
  if (coding === "identity") return body;
  const unpacked = unpack[coding];
  if (unpacked === undefined) throw refusal(89, "UNKNOWN_COMPRESSION_METHOD", `unknown Content-Encoding ${coding}`);
  return unpacked(body);
}

async function bytesOf(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function refusal(code: number, type: string, message: string): Error {
  return Object.assign(new Error(message), { code, type });
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
