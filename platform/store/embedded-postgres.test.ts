// The embedded server outlives its opener, is adopted, recovers, and keeps its address.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type EmbeddedPostgres, openEmbeddedPostgres } from "./embedded-postgres.ts";
import { isAlive } from "./postgres-process.ts";

let directory: string;
const opener = new URL("./__fixtures__/open-postgres.ts", import.meta.url).pathname;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-postgres-"));
});

afterEach(async () => {
  if ((await readdir(directory)).includes("data")) await (await openEmbeddedPostgres({ directory })).stop();
  await rm(directory, { recursive: true, force: true });
});

async function query(server: EmbeddedPostgres, sql: string): Promise<Array<Record<string, unknown>>> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

async function firstLine(child: ChildProcess): Promise<string> {
  const [chunk] = await once(child.stdout!, "data");
  return String(chunk).trim();
}

test("the server outlives a killed opener and the next one adopts it with the same address", async () => {
  const child = spawn(process.execPath, [opener, directory], { stdio: ["ignore", "pipe", "inherit"] });
  const theirs = JSON.parse(await firstLine(child)) as { url: string; pid: number };
  child.kill("SIGKILL");
  await once(child, "exit");

  expect(await isAlive(theirs.pid)).toBe(true);
  const server = await openEmbeddedPostgres({ directory });
  expect(server.pid).toBe(theirs.pid);
  expect(server.url).toBe(theirs.url);
  expect(await query(server, "SHOW wal_level")).toEqual([{ wal_level: "logical" }]);
  expect(await query(server, "SHOW synchronous_commit")).toEqual([{ synchronous_commit: "on" }]);
});

test("a server that was killed is started again on its port, with every committed row", async () => {
  const server = await openEmbeddedPostgres({ directory });
  await query(server, "CREATE TABLE kept AS SELECT 42 AS answer");
  process.kill(server.pid, "SIGKILL");

  const again = await openEmbeddedPostgres({ directory });
  expect(again.pid).not.toBe(server.pid);
  expect(again.url).toBe(server.url);
  expect(await query(again, "SELECT answer FROM kept")).toEqual([{ answer: 42 }]);
});

test("an opener killed at any moment of the first start leaves a directory that opens", async () => {
  for (const milliseconds of [30, 120, 250, 400, 550, 700]) {
    const child = spawn(process.execPath, [opener, directory], { stdio: "ignore" });
    await delay(milliseconds);
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  const server = await openEmbeddedPostgres({ directory });
  expect(await query(server, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("two openers at once end on one server", async () => {
  const [one, two] = await Promise.all([openEmbeddedPostgres({ directory }), openEmbeddedPostgres({ directory })]);
  expect(one.pid).toBe(two.pid);
  expect(one.url).toBe(two.url);
});

test("a pid file whose number belongs to another process is not taken for a server", async () => {
  const server = await openEmbeddedPostgres({ directory });
  await server.stop();
  const file = join(directory, "data", "postmaster.pid");
  await writeFile(file, `${process.pid}\n${join(directory, "data")}\n0\n5432\n\n127.0.0.1\n0 0\nready\n`);

  const again = await openEmbeddedPostgres({ directory });
  expect(again.pid).not.toBe(process.pid);
  expect(await query(again, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("stop waits until no process of the server is left", async () => {
  const server = await openEmbeddedPostgres({ directory });
  const client = new pg.Client({ connectionString: server.url });
  client.on("error", () => {});
  await client.connect();
  await server.stop();
  expect(await isAlive(server.pid)).toBe(false);
  await server.stop();
  await client.end().catch(() => {});
});

test("a port that was taken in the meantime is passed over", async () => {
  const server = await openEmbeddedPostgres({ directory });
  const port = Number(new URL(server.url).port);
  await server.stop();
  const squatter = createServer().listen(port, "127.0.0.1");
  await once(squatter, "listening");
  try {
    const again = await openEmbeddedPostgres({ directory });
    expect(Number(new URL(again.url).port)).not.toBe(port);
    expect(await query(again, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  } finally {
    squatter.close();
  }
});

test("a path too long for a socket is no obstacle", async () => {
  const long = join(directory, "a".repeat(60), "b".repeat(60));
  const server = await openEmbeddedPostgres({ directory: long });
  try {
    expect((await stat(server.socketDirectory)).mode & 0o777).toBe(0o700);
    expect(server.socketDirectory.length).toBeLessThan(90);
    expect(await query(server, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  } finally {
    await server.stop();
    await rm(server.socketDirectory, { recursive: true, force: true });
  }
});

test("the password is for the owner alone and a connection without it is refused", async () => {
  const server = await openEmbeddedPostgres({ directory });
  const file = join(directory, "password");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(server.url).toContain((await readFile(file, "utf8")).trim());
  const url = new URL(server.url);
  url.password = "wrong";
  await expect(new pg.Client({ connectionString: url.href }).connect()).rejects.toThrow(/password/);
});

test("a directory that cannot be written says so, with a fix", async () => {
  const blocked = join(directory, "file");
  await writeFile(blocked, "");
  await expect(openEmbeddedPostgres({ directory: join(blocked, "below") })).rejects.toMatchObject({
    code: "data_directory_unwritable",
    fix: expect.stringContaining("--data"),
  });
});

test("an aborted opening ends at once", async () => {
  await expect(openEmbeddedPostgres({ directory, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: "canceled",
  });
});
