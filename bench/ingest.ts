// Benchmark: spans from HTTP until they can be read, against a Collector that only receives and exports, and against the rows alone.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { startCollector } from "../platform/telemetry/ingest/exporters.fixture.ts";
import { type Load, load, post } from "./ingest/load.ts";
import { type Kind, Payloads } from "./ingest/payloads.ts";
import { type Measured, pairedRatioOf, quantile, ratioOf } from "./measured.ts";

const rounds = Number(process.env.INGEST_ROUNDS ?? 5);
const seconds = Number(process.env.INGEST_SECONDS ?? 6);
const options = { connections: 16, warmUpS: 3, seconds };
/** Requests one after another, for the time that one takes. */
const single = 100;
const file = (path: string) => join(import.meta.dirname, path);

export async function ingest(): Promise<Measured[]> {
  try {
    return await measured();
  } finally {
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  }
}

async function measured(): Promise<Measured[]> {
  const payloads = new Payloads();
  const ours: Record<Kind, Load[]> = { protobuf: [], json: [] };
  const collectors: Record<Kind, Load[]> = { protobuf: [], json: [] };
  const alone: Array<{ perSecond: number; cpuPerMillion: number }> = [];
  const synced: Load[] = [];
  const lags: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const kind of ["protobuf", "json"] as const) {
      ours[kind].push(await withOurs((url, pid) => load(url, pid, payloads, kind, options)));
      collectors[kind].push(await withCollector((url, pid) => load(url, pid, payloads, kind, options)));
    }
    alone.push(await rowsAlone());
    synced.push(await withOurs((url, pid) => load(url, pid, payloads, "protobuf", options), { CLICKHOUSE_FSYNC: "1" }));
  }
  await withOurs(async (url) => {
    const agent = new Agent({ keepAlive: true });
    for (let i = 0; i < single; i++) {
      const body = payloads.fresh("protobuf");
      const started = performance.now();
      await post(agent, url, body, "protobuf");
      lags.push(performance.now() - started);
    }
    agent.destroy();
  });
  const rivalName = "an OpenTelemetry Collector that receives and exports by OTLP/HTTP";
  const cpu = (kind: Kind): Measured =>
    pairedRatioOf({
      name: `ingest: CPU for a million spans in ${kind}, socket to stored row (${Math.round(payloads.bytesOfSpan(kind))} B each)`,
      unit: "s",
      rivalName,
      ours: ours[kind].map((one) => one.cpuPerMillion),
      rival: collectors[kind].map((one) => one.cpuPerMillion),
    });
  return [
    cpu("protobuf"),
    cpu("json"),
    pairedRatioOf({
      name: "ingest: spans in protobuf through HTTP, the load on the same cores",
      unit: "spans/s",
      rivalName: "the same rows stored by the same process without HTTP and decoding",
      ours: ours.protobuf.map((one) => one.spansPerSecond),
      rival: alone.map((one) => one.perSecond),
    }),
    pairedRatioOf({
      name: "ingest: CPU for a million spans in protobuf, beside the rows alone",
      unit: "s",
      rivalName: "the same rows stored by the same process without HTTP and decoding",
      ours: ours.protobuf.map((one) => one.cpuPerMillion),
      rival: alone.map((one) => one.cpuPerMillion),
    }),
    ratioOf({
      name: "ingest: from a request's first byte until its 520 spans can be read, one at a time",
      unit: "ms",
      rivalName: "the limit of 200 ms",
      ours: lags,
      rival: [200],
    }),
    ratioOf({
      name: "ingest: the same, 99th percentile",
      unit: "ms",
      rivalName: "the limit of 200 ms",
      ours: [quantile(lags, 0.99)],
      rival: [200],
    }),
    ...(["p50", "p99"] as const).map((part) =>
      ratioOf({
        name: `ingest: the same with ${options.connections} connections that send all the time, ${part}`,
        unit: "ms",
        rivalName: "the limit of 200 ms, which holds for the other case",
        ours: ours.protobuf.map((one) => one.answered[part]),
        rival: [200],
      }),
    ),
    ...(["protobuf", "json"] as const).map((kind) =>
      ratioOf({
        name: `ingest: lag of the event loop meanwhile, ${kind}, 99th percentile`,
        unit: "ms",
        rivalName: "the limit of 200 ms for the whole way",
        ours: ours[kind].map((one) => one.loopLag ?? Number.NaN),
        rival: [200],
      }),
    ),
    pairedRatioOf({
      name: "ingest: spans in protobuf when every insert waits for the disk (CLICKHOUSE_FSYNC=1)",
      unit: "spans/s",
      rivalName: "the same without the wait",
      ours: synced.map((one) => one.spansPerSecond),
      rival: ours.protobuf.map((one) => one.spansPerSecond),
    }),
    pairedRatioOf({
      name: "ingest: CPU for a million of them",
      unit: "s",
      rivalName: "the same without the wait",
      ours: synced.map((one) => one.cpuPerMillion),
      rival: ours.protobuf.map((one) => one.cpuPerMillion),
    }),
  ];
}

const folders: string[] = [];

/**
 * Folders are removed when all rounds are over: ext4 without a journal passes over every file that was deleted in the last
 * minutes whenever it makes one, so a round would pay for what the one before left.
 */
async function withFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "tsdev-bench-ingest-"));
  folders.push(folder);
  return work(folder);
}

const env = { ...process.env, UV_THREADPOOL_SIZE: "16" };

function withOurs<T>(work: (url: string, pid: number) => Promise<T>, also: Record<string, string> = {}): Promise<T> {
  return withFolder(async (folder) => {
    const server = file("../platform/telemetry/__fixtures__/ingest-server.ts");
    const child = spawn(process.execPath, [server, folder], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...env, ...also },
    });
    try {
      return await work(`http://127.0.0.1:${await firstLine(child)}`, child.pid!);
    } finally {
      child.kill("SIGKILL");
      await once(child, "close");
    }
  });
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const chunk of child.stdout!) return String(chunk).trim();
  throw new Error("the receiving process ended before it listened");
}

/** Exports to a server that takes all and keeps nothing, in a process of this benchmark. */
async function withCollector<T>(work: (url: string, pid: number) => Promise<T>): Promise<T> {
  const sink = createServer((request, response) => {
    request.resume().once("end", () => response.setHeader("content-type", "application/x-protobuf").end());
  }).listen(0, "127.0.0.1");
  await once(sink, "listening");
  const endpoint = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
  try {
    // Without a queue it answers once it has exported, as we do once we have stored; with one it would be ahead of its work.
    const exporter = `otlp_http: { endpoint: "${endpoint}", compression: none, sending_queue: { enabled: false } }`;
    await using collector = await startCollector(exporter);
    return await work(collector.http, collector.pid);
  } finally {
    sink.closeAllConnections();
    sink.close();
  }
}

function rowsAlone(): Promise<{ perSecond: number; cpuPerMillion: number }> {
  return withFolder(async (folder) => {
    const args = [file("ingest/rows-alone.ts"), folder, String(seconds), String(options.connections)];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    return JSON.parse(stdout);
  });
}
