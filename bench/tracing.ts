// Benchmark: what tracing costs a trivial Hono and pg app, ours against none and against stock OpenTelemetry.
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { startPostgres } from "../sdk/engine/postgres.fixture.ts";
import { type Measured, ratioOf } from "./measured.ts";

const rounds = Number(process.env.TSDEV_BENCH_ROUNDS ?? 8);
const secondsEach = Number(process.env.TSDEV_BENCH_SECONDS ?? 2);
const connections = 4;
const autocannon = createRequire(import.meta.url).resolve("autocannon");
const folder = join(import.meta.dirname, "tracing");
const stock = pathToFileURL(join(folder, "stock.ts")).href;
const register = pathToFileURL(join(import.meta.dirname, "../sdk/register.ts")).href;

const variants: Record<string, { hook?: string; env?: Record<string, string> }> = {
  off: {},
  stock: { hook: stock },
  ours: { hook: register, env: { TSDEV_ENVIRONMENT: "production" } },
  "ours at 10 %": {
    hook: register,
    env: { TSDEV_ENVIRONMENT: "production", OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.1" },
  },
  "ours, all sites": { hook: register, env: { TSDEV_CALL_SITES: "always" } },
};

interface Taken {
  requestsPerSecond: number;
  cpuMicroseconds: number;
}

async function ask<T>(child: ChildProcess, message?: string): Promise<T> {
  if (message !== undefined) child.send(message);
  const [answer] = (await once(child, "message")) as [T];
  return answer;
}

export async function tracing(): Promise<Measured[]> {
  const only = process.env.TSDEV_BENCH_VARIANTS?.split(",");
  const names = Object.keys(variants).filter((name) => !only || only.includes(name));
  const postgres = await startPostgres();
  const children: ChildProcess[] = [];
  const start = (file: string, options: { execArgv?: string[]; env?: Record<string, string> } = {}) => {
    const child = fork(join(folder, file), { ...options, env: { PATH: process.env.PATH ?? "", ...options.env } });
    children.push(child);
    return child;
  };
  try {
    const client = new pg.Client({ connectionString: postgres.url });
    await client.connect();
    await client.query("CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL)");
    await client.query("INSERT INTO customers SELECT i, 'customer ' || i FROM generate_series(1, 100) AS i");
    await client.end();
    const apps = new Map<string, { child: ChildProcess; url: string; sink: ChildProcess }>();
    for (const name of names) {
      const { hook, env = {} } = variants[name]!;
      const sink = start("sink.ts");
      const { port: sinkPort } = await ask<{ port: number }>(sink);
      const endpoint = `http://127.0.0.1:${sinkPort}`;
      const child = start("app.ts", {
        execArgv: hook ? ["--import", hook] : [],
        env: { DATABASE_URL: postgres.url, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, TSDEV_RECORD: "off", ...env },
      });
      const { port } = await ask<{ port: number }>(child);
      apps.set(name, { child, sink, url: `http://127.0.0.1:${port}` });
    }
    const results: Measured[] = [];
    for (const route of ["/one", "/five"]) {
      const taken = new Map(names.map((name) => [name, [] as Taken[]]));
      const counted = new Map(names.map((name) => [name, { spans: 0, requests: 0 }]));
      for (let round = -1; round < rounds; round++) {
        // Another order in each round, so that nobody always runs after the same neighbour.
        const order = names.map((_, index) => names[(index + round + names.length) % names.length]!);
        for (const name of order) {
          const { child, url, sink } = apps.get(name)!;
          const before = await ask<{ spans: number }>(sink, "spans");
          const cpu = await ask<{ cpu: NodeJS.CpuUsage }>(child, "cpu");
          const run = await load(url + route);
          await quiet(sink);
          const now = await ask<{ cpu: NodeJS.CpuUsage }>(child, "cpu");
          const after = await ask<{ spans: number }>(sink, "spans");
          if (run.non2xx > 0 || run.errors > 0) throw new Error(`${name}: ${run.non2xx} refused, ${run.errors} failed`);
          // The first round warms up.
          if (round < 0) continue;
          const used = now.cpu.user + now.cpu.system - cpu.cpu.user - cpu.cpu.system;
          taken.get(name)!.push({
            requestsPerSecond: run["2xx"] / run.duration,
            cpuMicroseconds: used / run["2xx"],
          });
          const counts = counted.get(name)!;
          counts.spans += after.spans - before.spans;
          counts.requests += run["2xx"];
        }
      }
      results.push(...rows(route, names, taken, counted));
    }
    return results;
  } finally {
    for (const child of children) child.disconnect();
    await Promise.all(children.map((child) => (child.exitCode === null ? once(child, "exit") : undefined)));
    await postgres.stop();
  }
}

interface Load {
  "2xx": number;
  non2xx: number;
  errors: number;
  duration: number;
}

/** In a process of its own: the load generator must not share a thread with anything that is measured. */
async function load(url: string): Promise<Load> {
  const args = [autocannon, "--json", "--no-progress", "-c", String(connections), "-d", String(secondsEach), url];
  return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout) as Load;
}

/** Waits until no more spans come: what was put off is work of the requests as well. */
async function quiet(sink: ChildProcess): Promise<void> {
  for (let last = -1; ; ) {
    const { spans } = await ask<{ spans: number }>(sink, "spans");
    if (spans === last) return;
    last = spans;
    await new Promise((done) => setTimeout(done, 400));
  }
}

function rows(
  route: string,
  names: string[],
  taken: Map<string, Taken[]>,
  counted: Map<string, { spans: number; requests: number }>,
): Measured[] {
  const result: Measured[] = [];
  const of = (name: string, key: keyof Taken) => taken.get(name)!.map((one) => one[key]);
  for (const name of names) {
    const { spans, requests } = counted.get(name)!;
    process.stderr.write(`${route} ${name}: ${(spans / requests).toFixed(2)} spans a request\n`);
    for (const rival of name === "off" ? [] : name === "stock" ? ["off"] : ["off", "stock"]) {
      if (!names.includes(rival)) continue;
      const row = (key: keyof Taken, unit: string) => {
        const [ours, others] = [of(name, key), of(rival, key)];
        const measured = ratioOf({
          name: `tracing ${route}, ${name}, ${unit}`,
          unit,
          rivalName: rival,
          ours,
          rival: others,
        });
        // Of each round by itself: what else runs on the machine changes from round to round, and then for both.
        return { ...measured, ratio: middle(ours.map((one, round) => one / others[round]!)) };
      };
      result.push(row("requestsPerSecond", "requests/s"), row("cpuMicroseconds", "CPU µs/request"));
    }
  }
  return result;
}

function middle(values: number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
