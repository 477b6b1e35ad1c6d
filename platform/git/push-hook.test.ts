// The hooks run as the shell scripts they are, with the other end of their descriptors answering, silent or gone.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { answerHooks, type MovedBranch, pushHooks } from "./push-hook.ts";

const before = "1".repeat(40);
const after = "2".repeat(40);
let directory: string;
let hooks: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-hooks-"));
  hooks = pushHooks(directory);
});
afterAll(() => rm(directory, { recursive: true, force: true }));

/** Runs shell text as git's receive-pack would run hooks: with our two descriptors inherited. */
function receive(text: string): { child: ChildProcess; report: Duplex; answer: Duplex; output: () => string } {
  const child = spawn("/bin/sh", ["-c", text], { cwd: hooks, stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk) => {
      output += chunk;
    });
  }
  return { child, report: child.stdio[3] as Duplex, answer: child.stdio[4] as Duplex, output: () => output };
}

const line = (ref: string, from = before, to = after) => `echo "${from} ${to} ${ref}"`;

test("a push is let in, reported once and answered", async () => {
  const told: MovedBranch[][] = [];
  const moves = `{ ${line("refs/heads/main")}; ${line("refs/tags/v1")}; ${line("refs/heads/gone", before, "0".repeat(40))}; }`;
  const { child, report, answer, output } = receive(`${moves} | ./pre-receive && ${moves} | ./post-receive`);
  const exit = once(child, "close");
  await answerHooks(
    report,
    answer,
    async (branches) => {
      told.push(branches);
      return ["tsdev: queued"];
    },
    async () => after,
  );
  expect((await exit)[0]).toBe(0);
  expect(told).toEqual([[{ branch: "main", before, after }]]);
  expect(output()).toBe("tsdev: queued\n");
});

test("a push whose second hook never ran is told all the same, as far as it was made", async () => {
  const told: MovedBranch[][] = [];
  const moves = `{ ${line("refs/heads/made")}; ${line("refs/heads/refused")}; }`;
  const { child, report, answer } = receive(`${moves} | ./pre-receive`);
  const exit = once(child, "close");
  await answerHooks(
    report,
    answer,
    async (branches) => {
      told.push(branches);
      return [];
    },
    async (branch) => (branch === "made" ? after : before),
  );
  await exit;
  expect(told).toEqual([[{ branch: "made", before, after }]]);
});

test("a push that names a bad branch is refused whole and nothing is told", async () => {
  const told: MovedBranch[][] = [];
  const moves = `{ ${line("refs/heads/main")}; ${line("refs/heads/-x")}; }`;
  const { child, report, answer, output } = receive(`${moves} | ./pre-receive`);
  const exit = once(child, "close");
  await answerHooks(
    report,
    answer,
    async (branches) => {
      told.push(branches);
      return [];
    },
    async () => after,
  );
  expect((await exit)[0]).toBe(1);
  expect(output()).toContain('"-x" is not a branch name');
  expect(told).toEqual([]);
});

test("with the control plane gone a push is not let in, and a hook that waits for an answer ends", async () => {
  for (const [hook, exitCode] of [
    ["pre-receive", 1],
    ["post-receive", 0],
  ] as const) {
    const { child, report, answer } = receive(`${line("refs/heads/main")} | ./${hook}`);
    const exit = once(child, "exit");
    report.destroy();
    answer.destroy();
    const [code, signal] = await exit;
    expect(signal === "SIGPIPE" || code === exitCode || code > 128).toBe(true);
    if (hook === "pre-receive") expect(code).not.toBe(0);
  }
});
