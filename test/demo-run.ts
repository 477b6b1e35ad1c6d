// Demo run: runs `demo/main.ts --once --json` as a child, kills its control plane where asked, and checks what is left.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DemoResult } from "../demo/result.ts";

const demo = join(import.meta.dirname, "../demo/main.ts");

export interface DemoRun {
  code: number | null;
  result: DemoResult | null;
  /** What it told on stderr: phases and, when it failed, the error. */
  told: string;
  /** The phase that ran when the control plane was killed. */
  killedIn: string | null;
}

/** `killAfterMs` kills the control plane with SIGKILL so long after the start, whatever it is doing then. */
export async function runDemo(data: string, options: { killAfterMs?: number } = {}): Promise<DemoRun> {
  const child = spawn(process.execPath, [demo, "--once", "--json", "--data", data, "--port", "0"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err] = [collect(child, "stdout"), collect(child, "stderr")];
  let killedIn: string | null = null;
  const timer =
    options.killAfterMs === undefined
      ? undefined
      : setTimeout(() => {
          const pid = holderOf(data);
          if (pid === null) return;
          killedIn = err.text.split("\n").findLast((line) => line.startsWith("…")) ?? "…";
          try {
            process.kill(pid, "SIGKILL");
          } catch {
            killedIn = null;
          }
        }, options.killAfterMs);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  return { code, result: out.text === "" ? null : (JSON.parse(out.text) as DemoResult), told: err.text, killedIn };
}

function collect(child: ChildProcess, stream: "stdout" | "stderr"): { text: string } {
  const collected = { text: "" };
  child[stream]?.setEncoding("utf8").on("data", (chunk: string) => {
    collected.text += chunk;
  });
  return collected;
}

/** The process that holds the data directory, also while it is only starting. */
function holderOf(data: string): number | null {
  try {
    return (JSON.parse(readFileSync(join(data, "holder.json"), "utf8")) as { pid: number }).pid;
  } catch {
    return null;
  }
}

/** Processes whose command line names the data directory. */
export function processesOf(data: string): string[] {
  return execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(data) && !line.includes("ps -eo"));
}
