// The ledger of owned processes: what a killed owner left is found and ended, and nothing else.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openOwnedProcesses } from "./owned-processes.ts";
import { findProcess, identify, isAlive, parsePs, parseStat } from "./process-identity.ts";
import { eventually } from "./runtime.contract.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tsdev-owned-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const ledger = () => readdirSync(join(directory, "processes"));
const firstLine = (child: ChildProcess) =>
  new Promise<string>((resolve) => createInterface({ input: child.stdout! }).once("line", resolve));
/** A shell with a child of its own, both deaf to SIGTERM; prints the child's pid. */
const stubborn = ["-c", "trap '' TERM; sleep 300 & echo $!; wait"];

describe("process identity", () => {
  it("is read after the last bracket of a title that has brackets and spaces", () => {
    const stat = `42 (we ird) x (y)) S 7 40 40 0 -1 4194560 ${Array.from({ length: 12 }, (_, i) => i).join(" ")} 987654 1 2`;
    expect(parseStat(stat)).toEqual({ pid: 42, parent: 7, group: 40, ticks: "987654" });
  });

  it("takes a zombie for dead", async () => {
    // The shell does not wait for its child: it stays a zombie until the shell ends.
    const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 300"], { stdio: ["ignore", "pipe", "ignore"] });
    const pid = Number(await firstLine(parent));
    await eventually("it is a zombie", () => findProcess(pid) === undefined);
    expect(process.kill(pid, 0)).toBe(true);
    parent.kill("SIGKILL");
  });

  it("tells a pid from the process that had it before", () => {
    const me = identify(process.pid)!;
    expect(isAlive(me)).toBe(true);
    expect(isAlive({ ...me, ticks: "1" })).toBe(false);
    expect(isAlive({ ...me, boot: "earlier" })).toBe(false);
  });

  it("reads ps where there is no /proc", () => {
    expect(parsePs("  42     7    40 Ss   Tue Nov 24 11:00:00 2026")).toEqual({
      ...{ pid: 42, parent: 7, group: 40, ticks: "Tue Nov 24 11:00:00 2026" },
    });
    expect(parsePs("42 7 40 Z+ Tue Nov 24 11:00:00 2026")).toBeUndefined();
  });
});

describe("owned processes", () => {
  it("give their output and exit code and leave the ledger", async () => {
    const owned = openOwnedProcesses(directory);
    const run = owned.own("build:1").spawn("sh", ["-c", "echo hello; exit 3"], { stdio: ["ignore", "pipe", "pipe"] });
    expect(ledger()).toHaveLength(1);
    expect(await firstLine(run.child)).toBe("hello");
    expect(await run.ended).toEqual({ code: 3, signal: null });
    expect(ledger()).toEqual([]);
  });

  it("say when the program is not there, and leave no line", async () => {
    const run = openOwnedProcesses(directory).own("build:1").spawn("no-such-program", []);
    await expect(run.ended).rejects.toThrow(/ENOENT/);
    expect(ledger()).toEqual([]);
  });

  it("end with everything they started, when asked or by a signal, deaf ones too", async () => {
    const owned = openOwnedProcesses(directory);
    const abort = new AbortController();
    const run = owned.own("build:1").spawn("sh", stubborn, { stdio: ["ignore", "pipe", "ignore"] });
    const other = owned.own("build:2").spawn("sleep", ["300"], { signal: abort.signal });
    const child = Number(await firstLine(run.child));
    await run.end(100);
    expect([findProcess(run.pid), findProcess(child)]).toEqual([undefined, undefined]);
    abort.abort();
    expect((await other.ended).signal).toBe("SIGTERM");
    expect(ledger()).toEqual([]);
  });

  it("take what they left in their group with them when they end by themselves", async () => {
    const run = openOwnedProcesses(directory)
      .own("build:1")
      .spawn("sh", ["-c", "sleep 300 & echo $!"], { stdio: ["ignore", "pipe", "ignore"] });
    const child = Number(await firstLine(run.child));
    expect((await run.ended).code).toBe(0);
    expect(findProcess(child)).toBeUndefined();
  });

  it("are ended by the next owner after a kill -9 of theirs, also one that left its group; other purposes and owners are not touched", async () => {
    const script = join(directory, "owner.ts");
    const module = pathToFileURL(join(import.meta.dirname, "owned-processes.ts")).href;
    writeFileSync(
      script,
      `import { openOwnedProcesses } from ${JSON.stringify(module)};
       const owned = openOwnedProcesses(${JSON.stringify(directory)});
       const build = owned.own("build:1").spawn("sh", ${JSON.stringify(stubborn)}, { stdio: ["ignore", "pipe", "ignore"] });
       const proof = owned.own("proof").spawn("sleep", ["300"], { stdio: "ignore" });
       const left = owned.own("build:2").spawn("sh", ["-c", "setsid sleep 300 & wait"], { stdio: "ignore" });
       build.child.stdout.once("data", (text) => console.log(JSON.stringify([build.pid, Number(text), proof.pid, left.pid])));`,
    );
    const owner = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    const [build, child, proof, left] = JSON.parse(await firstLine(owner)) as number[];
    const mine = openOwnedProcesses(directory);
    expect(await mine.reapOwned()).toBe(0);
    const gone = new Promise((resolve) => owner.once("exit", resolve));
    owner.kill("SIGKILL");
    await gone;
    const own = mine.own("build:3").spawn("sleep", ["300"]);
    expect(await mine.reapOwned(["build:*"])).toBeGreaterThanOrEqual(2);
    expect([build, child, left].map((pid) => findProcess(pid!))).toEqual([undefined, undefined, undefined]);
    expect(findProcess(proof!)).toBeDefined();
    expect(findProcess(own.pid)).toBeDefined();
    await own.end();
    expect(await mine.reapOwned()).toBe(1);
    expect(findProcess(proof!)).toBeUndefined();
    expect(ledger()).toEqual([]);
  });
});
