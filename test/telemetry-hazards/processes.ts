// Starts and kills the processes of the telemetry hazards.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { SpoolState } from "../../platform/telemetry/ingest/spool.ts";
import type { IngestAddresses, IngestProcessOptions } from "./ingest-process.ts";

const running = new Set<ChildProcess>();

/** Ends what a test left running. */
export async function killAll(): Promise<void> {
  await Promise.all([...running].map(kill));
}

/** Resolves once the process is gone; it had no moment to finish anything. */
async function kill(child: ChildProcess): Promise<void> {
  const closed = child.exitCode === null && child.signalCode === null ? once(child, "close") : undefined;
  child.kill("SIGKILL");
  await closed;
  running.delete(child);
}

async function start<Printed>(
  program: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ child: ChildProcess; printed: Printed }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, program), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, UV_THREADPOOL_SIZE: "16", ...env },
  });
  running.add(child);
  for await (const line of createInterface({ input: child.stdout! })) {
    if (line.startsWith("{")) return { child, printed: JSON.parse(line) as Printed };
  }
  throw new Error(`${program} ended before it listened`);
}

export interface IngestProcess extends IngestAddresses {
  query<Row>(sql: string): Promise<Row[]>;
  /** In a session of its own, beside those of `query`. */
  queryWithin<Row>(sql: string): Promise<Row[]>;
  state(): Promise<{ spool: SpoolState; rss: number }>;
  kill(): Promise<void>;
}

export async function startIngest(options: IngestProcessOptions, env?: Record<string, string>): Promise<IngestProcess> {
  const { child, printed } = await start<IngestAddresses>("ingest-process.ts", [JSON.stringify(options)], env);
  const get = async (path: string) => (await fetch(`${printed.http}${path}`)).json();
  return {
    ...printed,
    query: (sql) => get(`/query?sql=${encodeURIComponent(sql)}`) as never,
    queryWithin: (sql) => get(`/query-within?sql=${encodeURIComponent(sql)}`) as never,
    state: () => get("/state") as never,
    kill: () => kill(child),
  };
}

/** A ClickHouse server's stand-in; port 0 takes any. */
export async function startDatabase(
  directory: string,
  port = 0,
): Promise<{ url: string; port: number; kill(): Promise<void> }> {
  const { child, printed } = await start<{ url: string }>("database-process.ts", [directory, String(port)]);
  return { url: printed.url, port: Number(new URL(printed.url).port), kill: () => kill(child) };
}
