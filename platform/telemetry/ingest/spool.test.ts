// The spool by hazard: a database that is away, refuses or is slow, a process that ends at any line, a disk that is full.
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Group, Spool, type SpoolOptions } from "./spool.ts";

let directory: string;
const opened: Spool[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-spool-"));
});
afterEach(async () => {
  for (const spool of opened.splice(0)) await spool.close();
  await rm(directory, { recursive: true, force: true });
});

/** A database that stores by token, as ClickHouse does, and can be told to be away. */
function database() {
  const stored = new Map<string, string>();
  const tries: string[] = [];
  const state: { answer: (text: string) => Error | undefined } = { answer: () => undefined };
  const insert: SpoolOptions["insert"] = async (table, file, token) => {
    const text = await readFile(file, "utf8");
    tries.push(token);
    const error = state.answer(text);
    if (error) throw error;
    stored.set(token, `${table}:${text}`);
  };
  return { insert, stored, tries, state, texts: () => [...stored.values()] };
}
const away = () => Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
const group = (text: string, ...requests: string[]): Group => ({
  table: "otel_logs",
  rows: [Buffer.from(text)],
  requests,
});

async function open(insert: SpoolOptions["insert"], more: Partial<SpoolOptions> = {}): Promise<Spool> {
  const spool = await Spool.open({ directory, insert, log: () => {}, maxPauseMs: 20, ...more });
  opened.push(spool);
  return spool;
}
const rowFiles = async () => (await readdir(directory)).filter((name) => name.endsWith(".rows"));
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

test("what was stored leaves no file, and its request is known to the next process", async () => {
  const db = database();
  const spool = await open(db.insert);
  await spool.store(group("one", "digest-1", "digest-2"));
  expect(db.texts()).toEqual(["otel_logs:one"]);
  expect(await rowFiles()).toEqual([]);
  expect(spool.knows("digest-1")).toBe(true);
  const next = await open(db.insert);
  expect([next.knows("digest-1"), next.knows("digest-2"), next.knows("digest-3")]).toEqual([true, true, false]);
});

describe("a database that is away", () => {
  test("gets what was acknowledged when it is back, each group once", async () => {
    const db = database();
    db.state.answer = away;
    const spool = await open(db.insert);
    for (const text of ["a", "b", "c"]) await spool.store(group(text, text));
    expect(spool.state()).toMatchObject({ files: 3, bytes: 3, awaySince: expect.any(Number) });
    expect(db.texts()).toEqual([]);
    db.state.answer = () => undefined;
    await until(() => spool.state().files === 0);
    expect(db.texts().sort()).toEqual(["otel_logs:a", "otel_logs:b", "otel_logs:c"]);
    expect(spool.state()).toEqual({ files: 0, bytes: 0, awaySince: null });
    await spool.store(group("d"));
    expect(await rowFiles()).toEqual([]);
  });

  test("fills the disk up to the limit and not further", async () => {
    const db = database();
    db.state.answer = away;
    const spool = await open(db.insert, { limitBytes: 10 });
    await spool.store(group("12345"));
    await spool.store(group("12345"));
    await expect(spool.store(group("1", "late"))).rejects.toMatchObject({ code: "rate_limited" });
    expect(spool.knows("late")).toBe(false);
    expect(await rowFiles()).toHaveLength(2);
  });

  test("that answers with an error which passes is tried again, and stored what it had stored already once", async () => {
    const db = database();
    let answers = 0;
    const spool = await open(async (table, file, token) => {
      await db.insert(table, file, token);
      // The rows are in, the answer is lost.
      if (answers++ === 0) throw Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" });
    });
    await spool.store(group("x"));
    await until(() => spool.state().files === 0);
    expect(db.tries).toHaveLength(2);
    expect(new Set(db.tries).size).toBe(1);
    expect(db.texts()).toEqual(["otel_logs:x"]);
  });

  test("and refuses rows later on gets the rest; what it refuses is kept aside and said", async () => {
    const db = database();
    const said: string[] = [];
    db.state.answer = away;
    const spool = await open(db.insert, { log: (message) => void said.push(message) });
    for (const text of ["good", "bad", "fine"]) await spool.store(group(text));
    db.state.answer = (text) => (text === "bad" ? new Error("Cannot parse") : undefined);
    await until(() => spool.state().files === 0);
    expect(db.texts().sort()).toEqual(["otel_logs:fine", "otel_logs:good"]);
    expect(await readdir(join(directory, "refused"))).toHaveLength(1);
    expect(said.join("\n")).toContain("refuses telemetry");
  });
});

test("one group that the database can never take does not keep the others from it", async () => {
  const db = database();
  db.state.answer = away;
  const spool = await open(db.insert);
  await spool.store(group("too large"));
  db.state.answer = (text) =>
    text === "too large" ? Object.assign(new Error("memory"), { type: "MEMORY_LIMIT_EXCEEDED" }) : undefined;
  await spool.store(group("fine"));
  await until(() => spool.state().files === 0);
  expect(db.texts()).toEqual(["otel_logs:fine"]);
  expect(await readdir(join(directory, "refused"))).toHaveLength(1);
});

test("what is stored and cannot be noted as stored is not denied, nor stored again by the next process", async () => {
  const db = database();
  const spool = await open(async (table, file, token) => {
    await db.insert(table, file, token);
    // The journal's disk is gone by the time the rows are in.
    const path = (await readdir(directory)).find((name) => name.endsWith(".requests"))!;
    await rm(join(directory, path));
    await spool.close();
  });
  await spool.store(group("rows", "digest"));
  expect(spool.knows("digest")).toBe(true);
  expect(await rowFiles()).toHaveLength(1);
  opened.length = 0;
  const next = await open(db.insert);
  await until(() => next.state().files === 0);
  expect(db.texts()).toEqual(["otel_logs:rows"]);
  expect(new Set(db.tries).size).toBe(1);
});

describe("a process that ends", () => {
  /** Stores in a spool whose database never answers: the process is gone before. */
  async function endDuringInsert(text: string, ...requests: string[]): Promise<string> {
    let begun = (_token: string) => {};
    const token = new Promise<string>((resolve) => {
      begun = resolve;
    });
    const spool = await Spool.open({
      directory,
      log: () => {},
      insert: (_table, _file, id) => {
        begun(id);
        return new Promise(() => {});
      },
    });
    opened.push(spool);
    void spool.store(group(text, ...requests));
    return token;
  }

  test("during an insert: the next one inserts the rows under the same token, and knows the requests", async () => {
    const token = await endDuringInsert("rows", "digest");
    const db = database();
    const spool = await open(db.insert);
    expect(spool.knows("digest")).toBe(true);
    await until(() => spool.state().files === 0);
    expect([...db.stored]).toEqual([[token, "otel_logs:rows"]]);
  });

  test("before the rows were in place: nothing of them is stored, and the request may come again", async () => {
    const token = await endDuringInsert("rows", "digest");
    await rm(join(directory, `${token}.otel_logs.rows`));
    await writeFile(join(directory, `${token}.otel_logs.rows.part`), "ro");
    const db = database();
    const spool = await open(db.insert);
    expect(spool.knows("digest")).toBe(false);
    expect(await readdir(directory)).toEqual([expect.stringMatching(/\.requests$/)]);
    expect(db.tries).toEqual([]);
  });

  test("while the database is away: the next one goes on where it was", async () => {
    const db = database();
    db.state.answer = away;
    const first = await open(db.insert);
    for (const text of ["a", "b"]) await first.store(group(text, text));
    await first.close();
    opened.length = 0;
    const second = await open(db.insert);
    expect(second.state().files).toBe(2);
    expect(second.knows("b")).toBe(true);
    await second.store(group("c"));
    db.state.answer = () => undefined;
    await until(() => second.state().files === 0);
    expect(db.texts().sort()).toEqual(["otel_logs:a", "otel_logs:b", "otel_logs:c"]);
  });
});

test("rows that the database refuses leave nothing behind, and their request may come again", async () => {
  const db = database();
  db.state.answer = () => new Error("Cannot read all data");
  const spool = await open(db.insert);
  await expect(spool.store(group("bad", "digest"))).rejects.toThrow("Cannot read all data");
  expect(spool.knows("digest")).toBe(false);
  expect(await rowFiles()).toEqual([]);
});

test.skipIf(process.getuid?.() !== 0)(
  "a full disk refuses with a typed error, and takes again when there is room",
  async () => {
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", directory]);
    expect(mount.status).toBe(0);
    try {
      const db = database();
      const spool = await open(db.insert);
      const large = { table: "otel_logs", rows: [Buffer.alloc(128 * 1024)], requests: ["large"] } as const;
      await expect(spool.store(large)).rejects.toMatchObject({ code: "unavailable", message: /disk is full/ });
      expect(spool.knows("large")).toBe(false);
      expect((await readdir(directory)).filter((name) => !name.endsWith(".requests"))).toEqual([]);
      await spool.store(group("small"));
      expect(db.texts()).toEqual(["otel_logs:small"]);
      await spool.close();
      opened.length = 0;
    } finally {
      spawnSync("umount", [directory]);
    }
  },
);
