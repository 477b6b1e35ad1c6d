// The build log: followed live, cut off by a kill, full, and without secrets.
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Redactor } from "../secrets/redactor.ts";
import { BuildLogs } from "./build-log.ts";
import { linesOf } from "./lines.ts";

let directory: string;
const redactor = new Redactor();
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-log-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));
const never = new AbortController().signal;
const texts = async (logs: BuildLogs, finished: () => Promise<boolean>, signal = never) => {
  const list: string[] = [];
  for await (const line of logs.follow("dep_1", finished, signal)) list.push(line.text);
  return list;
};

test("every line is followed from the first on, and the end when it is finished", async () => {
  const logs = new BuildLogs(directory, redactor);
  await logs.write("dep_1", "stdout", "one");
  let done = false;
  const followed = texts(logs, async () => done);
  for (let line = 0; line < 100; line++) await logs.write("dep_1", "stderr", `line ${line}`);
  await logs.write("dep_2", "stdout", "of another");
  await logs.write("dep_1", "system", "last");
  done = true;
  const all = await followed;
  expect(all).toHaveLength(102);
  expect(all.at(-1)).toBe("last");
  expect((await logs.tail("dep_1", 2)).map((line) => line.text)).toEqual(["line 99", "last"]);
});

test("following one that is not there yet ends when the reader goes away", async () => {
  const abort = new AbortController();
  const followed = texts(new BuildLogs(directory, redactor), async () => false, abort.signal);
  abort.abort();
  expect(await followed).toEqual([]);
});

test("a line that a kill cut in half is left out, and those after it are read", async () => {
  await new BuildLogs(directory, redactor).write("dep_1", "stdout", "before");
  await appendFile(join(directory, "dep_1.ndjson"), '{"time":"2026-01-01T00:00:00Z","stre');
  const logs = new BuildLogs(directory, redactor);
  await logs.write("dep_1", "stdout", "after");
  expect(await texts(logs, async () => true)).toEqual(["before", "after"]);
});

test("a secret is replaced", async () => {
  redactor.learn(["hunter2hunter2"]);
  const logs = new BuildLogs(directory, redactor);
  await logs.write("dep_1", "stdout", "the key is hunter2hunter2");
  expect(await texts(logs, async () => true)).toEqual(["the key is [redacted]"]);
});

test("a log that is full says so once, and still takes what the platform says", async () => {
  const logs = new BuildLogs(directory, redactor, 2000);
  for (let line = 0; line < 100; line++) await logs.write("dep_1", "stdout", `line ${line}`);
  await logs.write("dep_1", "system", "failed: why");
  const all = await texts(logs, async () => true);
  expect(all.length).toBeLessThan(40);
  expect(all.slice(-2)).toEqual(["the log is full; what follows is left out", "failed: why"]);
});

test("a line without an end comes in pieces", async () => {
  async function* source() {
    for (let chunk = 0; chunk < 20; chunk++) yield Buffer.alloc(8192, 0x78);
    yield Buffer.from("\r\nlast é");
  }
  const lines: string[] = [];
  for await (const line of linesOf(source())) lines.push(line);
  expect(lines.at(-1)).toBe("last é");
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(16_384 + 8192);
  expect(lines.slice(0, -1).join("")).toHaveLength(20 * 8192);
});
