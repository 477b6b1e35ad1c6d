// Benchmark: one procedure over HTTP, against plain Hono with @hono/zod-validator, once with the same check of what goes out
// and once without it; each in a process of its own, in rounds that take turns, with tracing off and no policies. Requests a
// second depend on the client as well, which takes as much of the machine as the server; the server's own CPU time for a
// request does not. A ratio is the median of those of the rounds, so that a load that comes and goes weighs on both sides.
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { body } from "./http/contract.ts";
import { type Measured, pairedRatioOf } from "./measured.ts";

const autocannon = createRequire(import.meta.url).resolve("autocannon");
const rounds = 15;
const roundSeconds = 2;
const connections = 16;

export async function http(): Promise<Measured[]> {
  const children: ChildProcess[] = [];
  const start = async (name: string, file: string, ...args: string[]): Promise<Participant> => {
    const child = fork(join(import.meta.dirname, "http", file), args, {
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    children.push(child);
    const [port] = await once(child, "message");
    return { name, child, url: `http://127.0.0.1:${port}/quote`, rates: [], costs: [] };
  };
  try {
    const ours = await start("ours", "ours.ts");
    const rivals = [
      await start("plain Hono with @hono/zod-validator", "rival.ts"),
      await start("the same, unchecked on the way out", "rival.ts", "unchecked"),
    ];
    const all = [ours, ...rivals];
    for (const one of all) await load(one);
    for (let round = 0; round < rounds; round++) {
      // Each goes first, second and last as often as the others.
      for (let turn = 0; turn < all.length; turn++) {
        const one = all[(round + turn) % all.length]!;
        const { rate, cost } = await load(one);
        one.rates.push(rate);
        one.costs.push(cost);
      }
    }
    return rivals.flatMap(({ name: rivalName, rates, costs }) => [
      pairedRatioOf({ name: "http", unit: "requests/s", rivalName, ours: ours.rates, rival: rates }),
      pairedRatioOf({ name: "http-cpu", unit: "us of CPU a request", rivalName, ours: ours.costs, rival: costs }),
    ]);
  } finally {
    for (const child of children) child.kill("SIGTERM");
  }
}

interface Participant {
  name: string;
  child: ChildProcess;
  url: string;
  /** Of each round: requests/s, and microseconds of CPU a request. */
  rates: number[];
  costs: number[];
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
