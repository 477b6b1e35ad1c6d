// Output of instances: positions over rotations, long lines, and who starts again where.
import { appendFileSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Instance, type InstanceRecord } from "./instance.ts";
import { OutputFile } from "./output-file.ts";
import { maxLineBytes, OutputReader, readAcknowledged } from "./output-reader.ts";
import type { OutputLine } from "./runtime.ts";

let folder: string;
let path: string;
let instance: Instance;
let seen: OutputLine[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsdev-output-"));
  path = join(folder, "output.log");
  instance = new Instance(folder, { id: "ins_1", deploymentId: "dep_1" } as InstanceRecord);
  seen = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const reader = (file = new OutputFile(path)) =>
  new OutputReader(instance, "stdout", file, (line) => void seen.push(line));
const texts = () => seen.map((line) => line.text);

describe("output", () => {
  it("waits for the rest of a line, and takes an unfinished last one only at the end", () => {
    const read = reader();
    appendFileSync(path, "one\ntw");
    read.pump(false);
    expect(texts()).toEqual(["one"]);
    appendFileSync(path, "o\r\nlast");
    read.pump(false);
    expect(texts()).toEqual(["one", "two"]);
    expect(read.done).toBe(false);
    read.pump(true);
    expect(texts()).toEqual(["one", "two", "last"]);
    expect(read.done).toBe(true);
  });

  it("goes on after the last acknowledged line, and a line cut by the end of a chunk is whole", () => {
    appendFileSync(path, `${"🙂".repeat(3000)}\n`.repeat(60));
    const first = reader();
    first.pump(false);
    first.stop();
    expect(texts()).toEqual(Array.from({ length: 60 }, () => "🙂".repeat(3000)));
    appendFileSync(path, "after\n");
    seen = [];
    reader().pump(false);
    expect(texts()).toEqual(["after"]);
  });

  it("acknowledges in order: a line whose predecessor is still being stored is not past", async () => {
    const release: (() => void)[] = [];
    const read = new OutputReader(
      instance,
      "stdout",
      new OutputFile(path),
      () => new Promise((resolve) => release.push(resolve)),
    );
    appendFileSync(path, "a\nb\n");
    read.pump(false);
    release[1]!();
    await Promise.resolve();
    read.stop();
    expect(readAcknowledged(instance, "stdout")).toBe(0);
  });

  it("hands on a long line in pieces of at most 16 kB, cut between characters, with nothing lost", () => {
    const long = "ü🙂".repeat(10_000);
    appendFileSync(path, `${long}\nshort\n`);
    reader().pump(false);
    expect(texts().at(-1)).toBe("short");
    expect(texts().slice(0, -1).join("")).toBe(long);
    expect(texts().every((text) => Buffer.byteLength(text) <= maxLineBytes)).toBe(true);
    expect(texts().join("")).not.toContain("\ufffd");
  });

  it("keeps positions over rotations, also those of a reader that is behind and of a line that a rotation cuts", async () => {
    const file = new OutputFile(path);
    const read = reader(file);
    appendFileSync(path, "1\n2\n");
    read.pump(false);
    appendFileSync(path, "3\n4a");
    await file.rotate(1);
    expect(statSync(path).size).toBe(0);
    appendFileSync(path, "4b\n5\n");
    read.pump(false);
    expect(texts()).toEqual(["1", "2", "3", "4a4b", "5"]);
    const offsets = seen.map((line) => line.offset);
    expect(offsets).toEqual([2, 4, 6, 11, 13]);
    read.stop();
    // And for whoever opens the file next.
    appendFileSync(path, "6\n");
    seen = [];
    reader(new OutputFile(path)).pump(false);
    expect(texts()).toEqual(["6"]);
  });

  it("goes on after somebody else truncated the file", () => {
    appendFileSync(path, "one\ntwo\n");
    const read = reader();
    read.pump(false);
    rmSync(path);
    appendFileSync(path, "new\n");
    read.pump(false);
    expect(texts()).toEqual(["one", "two", "new"]);
  });
});
