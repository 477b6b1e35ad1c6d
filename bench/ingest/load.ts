// Load for the ingest benchmark: connections that each send the next request once the last is answered, and the receiver's CPU.
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { quantile } from "../measured.ts";
import { type Kind, type Payloads, spansOfRequest } from "./payloads.ts";

export interface Load {
  spansPerSecond: number;
  /** Seconds of CPU of the receiving process for a million spans, kernel and all threads included. */
  cpuPerMillion: number;
  refused: number;
  /** Until a request was answered while all connections send, in milliseconds: the median and the 99th percentile. */
  answered: { p50: number; p99: number };
  /** How late the receiver's event loop was, the 99th percentile in milliseconds, where the receiver tells. */
  loopLag: number | undefined;
}

/** Seconds of CPU of a process; ticks are 1/100 s on Linux. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export async function load(
  url: string,
  pid: number,
  payloads: Payloads,
  kind: Kind,
  options: { connections: number; warmUpS: number; seconds: number },
): Promise<Load> {
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections });
  let [accepted, refused, over] = [0, 0, false];
  const took: number[] = [];
  const workers = Array.from({ length: options.connections }, async () => {
    while (!over) {
      const body = payloads.fresh(kind);
      const started = performance.now();
      const status = await post(agent, url, body, kind).catch(() => 0);
      took.push(performance.now() - started);
      if (status === 200) accepted += spansOfRequest;
      else refused++;
    }
  });
  const wait = (seconds: number) => new Promise((done) => setTimeout(done, seconds * 1_000));
  await wait(options.warmUpS);
  await loopLag(url);
  took.length = 0;
  const before = { cpu: cpuOf(pid), accepted, at: performance.now() };
  await wait(options.seconds);
  const after = { cpu: cpuOf(pid), accepted, at: performance.now() };
  const lag = await loopLag(url);
  over = true;
  await Promise.all(workers);
  agent.destroy();
  const spans = after.accepted - before.accepted;
  return {
    spansPerSecond: (spans / (after.at - before.at)) * 1_000,
    cpuPerMillion: ((after.cpu - before.cpu) / spans) * 1_000_000,
    refused,
    answered: { p50: quantile(took, 0.5), p99: quantile(took, 0.99) },
    loopLag: lag,
  };
}

/** Since the last question; the Collector has no such route. */
async function loopLag(url: string): Promise<number | undefined> {
  const answer = await fetch(`${url}/lag`);
  return answer.ok ? ((await answer.json()) as { p99: number }).p99 : undefined;
}

/** One request; the status of its answer. */
export function post(agent: Agent, url: string, body: Buffer, kind: Kind): Promise<number> {
  return new Promise((settle, fail) => {
    const headers = {
      "content-type": kind === "json" ? "application/json" : "application/x-protobuf",
      "content-length": body.length,
    };
    const sent = request(`${url}/v1/traces`, { method: "POST", agent, headers }, (answer) => {
      answer.resume().once("end", () => settle(answer.statusCode ?? 0));
    });
    sent.once("error", fail);
    sent.end(body);
  });
}
