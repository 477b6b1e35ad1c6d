// Who holds a data directory: one of many at the same moment, after a kill as well, and never somebody who is dead.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DataDirectory } from "./data-directory.ts";

const program = fileURLToPath(new URL("./__fixtures__/hold.ts", import.meta.url));
let path: string;
let children: ChildProcess[];

beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), "tsdev-hold-"));
  children = [];
});
afterEach(async () => {
  for (const child of children) await end(child);
  await rm(path, { recursive: true, force: true });
});

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** Starts a process that takes hold at the given time; answers what it says first. */
function start(at = 0): { child: ChildProcess; says: Promise<string> } {
  const child = spawn(process.execPath, [program, path, String(at)], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return { child, says: once(createInterface({ input: child.stdout! }), "line").then(([line]) => line as string) };
}

test("of many that start at the same moment on what a killed one left, one gets it and the others name it", async () => {
  for (let round = 0; round < 5; round++) {
    const starting = Array.from({ length: 5 }, () => start(Date.now() + 1000));
    const says = await Promise.all(starting.map((one) => one.says));
    const winners = starting.filter((_, index) => says[index] === "held");
    expect(winners, says.join("\n")).toHaveLength(1);
    for (const text of says.filter((one) => one !== "held")) {
      expect(JSON.parse(text)).toMatchObject({ code: "data_directory_held", fix: expect.stringContaining("--data") });
    }
    // the next round finds what a kill leaves
    await end(winners[0]!.child);
  }
});

test("the second is told who holds it and where, and after a kill -9 the next has it at once", async () => {
  const first = start();
  expect(await first.says).toBe("held");
  const refused = await DataDirectory.hold(path).catch((error: unknown) => error);
  expect(refused).toMatchObject({
    code: "data_directory_held",
    message: `${path} is held by the control plane with pid ${first.child.pid}, which is starting`,
  });
  await end(first.child);
  const directory = await DataDirectory.hold(path);
  await directory.release();
  expect(readdirSync(join(path, "holders"))).toEqual([]);
});

test("nothing in it can get into a commit", async () => {
  const directory = await DataDirectory.hold(path);
  expect(readFileSync(join(path, ".gitignore"), "utf8")).toBe("*\n");
  await directory.release();
});
