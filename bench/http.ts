// Benchmark: one procedure over HTTP, against plain Hono with @hono/zod-validator doing the same validation in and out; each
// in a process of its own, in rounds that take turns, with tracing off and no policies. Requests a second depend on the
// client as well, which takes as much of the machine as the server; the server's own CPU time for a request does not.
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { body } from "./http/contract.ts";
import { type Measured, ratioOf } from "./measured.ts";

const autocannon = createRequire(import.meta.url).resolve("autocannon");
const rounds = 15;
const roundSeconds = 2;
const connections = 16;

export async function http(): Promise<Measured[]> {
  const children: ChildProcess[] = [];
  const start = async (file: string): Promise<Participant> => {
    const child = fork(join(import.meta.dirname, "http", file), { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    children.push(child);
    const [port] = await once(child, "message");
    return { child, url: `http://127.0.0.1:${port}/quote` };
  };
  try {
    const ours = await start("ours.ts");
    const rival = await start("rival.ts");
    const rates = { ours: [] as number[], rival: [] as number[] };
    const costs = { ours: [] as number[], rival: [] as number[] };
    for (let round = -1; round < rounds; round++) {
      // Each goes first every other time. The round before the first warms both up.
      const order = round % 2 === 0 ? (["ours", "rival"] as const) : (["rival", "ours"] as const);
      for (const who of order) {
        const { rate, cost } = await load(who === "ours" ? ours : rival);
        if (round < 0) continue;
        rates[who].push(rate);
        costs[who].push(cost);
      }
    }
    const rivalName = "plain Hono with @hono/zod-validator";
    return [
      ratioOf({ name: "http", unit: "requests/s", rivalName, ours: rates.ours, rival: rates.rival }),
      ratioOf({ name: "http-cpu", unit: "us of CPU a request", rivalName, ours: costs.ours, rival: costs.rival }),
    ];
  } finally {
    for (const child of children) child.kill("SIGTERM");
  }
}

interface Participant {
  child: ChildProcess;
  url: string;
}

async function load({ child, url }: Participant): Promise<{ rate: number; cost: number }> {
  const flags = `--json --no-progress -c ${connections} -d ${roundSeconds} -m POST -H content-type=application/json`;
  const before = await cpuOf(child);
  const { stdout } = await promisify(execFile)(process.execPath, [autocannon, ...flags.split(" "), "-b", body, url]);
  const after = await cpuOf(child);
  const result = JSON.parse(stdout) as {
    non2xx: number;
    errors: number;
    duration: number;
    requests: { total: number };
  };
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} of the answers were no success`);
  return { rate: result.requests.total / result.duration, cost: (after - before) / result.requests.total };
}

/** Microseconds that the participant has used. */
async function cpuOf(child: ChildProcess): Promise<number> {
  const answer = once(child, "message");
  child.send("cpu");
  return (await answer)[0];
}
