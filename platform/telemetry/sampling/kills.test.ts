// Tail sampling with the real database through kill -9 at every step between the acknowledgement and the stored row.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openTelemetryStore } from "../clickhouse.ts";
import { exportOf } from "./sampler.fixture.ts";

const program = new URL("./__fixtures__/sampling-server.ts", import.meta.url).pathname;
const points = ["decided", "placed", "inserted", "stored"];

async function start(directory: string, point: string): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [program, directory, point], { stdio: ["ignore", "pipe", "ignore"] });
  const [port] = await once(child.stdout!, "data");
  return { child, url: `http://127.0.0.1:${String(port).trim()}` };
}

test("batches that are sent until they are acknowledged are decided once: no span twice, no trace in part, sums true", async () => {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-sampling-kills-"));
  let child: ChildProcess | undefined;
  try {
    let sent = 0;
    let unanswered: string[] = [];
    // The rounds that end by a kill, and one that ends when all is decided.
    for (const point of [...points, "none"]) {
      const server = await start(directory, point);
      child = server.child;
      const send = async (body: string) => {
        const headers = { "content-type": "application/json" };
        const answer = await fetch(`${server.url}/v1/traces`, { method: "POST", headers, body }).catch(() => null);
        if (answer?.status !== 200) unanswered.push(body);
      };
      const again = unanswered;
      unanswered = [];
      for (const body of again) await send(body);
      while (child.signalCode === null && point !== "none") {
        const traces = Array.from({ length: 20 }, () => `k${sent++}`);
        const failed = (trace: string) => Number(trace.slice(1)) % 10 === 0;
        // Two services tell of the same traces; the caller's span comes first or last.
        const root = traces.map((trace) => ({ trace, failed: failed(trace) }));
        const below = traces.map((trace) => ({ trace, span: 1, parent: 0, service: "db", failed: failed(trace) }));
        const bodies = [root, below].map((spans) => JSON.stringify(exportOf(spans)));
        await Promise.all((sent % 40 === 0 ? bodies : bodies.reverse()).map(send));
      }
      if (point !== "none") continue;
      expect(unanswered).toEqual([]);
      const state = async () => (await fetch(`${server.url}/state`)).json();
      await expect.poll(state, { timeout: 30_000 }).toMatchObject({ windows: 0, spool: 0 });
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    const store = await openTelemetryStore({ directory });
    try {
      const traces = await store.reader.query<{ spans: number; ids: number; failed: boolean; counts: number[] }>(
        `SELECT count() AS spans, uniqExact(SpanId) AS ids, countIf(StatusCode = 'Error') > 0 AS failed,
            groupUniqArray(AdjustedCount) AS counts FROM otel_traces GROUP BY TraceId`,
      );
      expect(sent).toBeGreaterThan(400);
      for (const { spans, ids, counts } of traces) {
        expect([spans, ids, counts.length]).toEqual([2, 2, 1]);
        expect([1, 4]).toContain(counts[0]);
      }
      expect(traces.filter(({ failed }) => failed)).toHaveLength(sent / 10);
      expect(traces.length).toBeLessThan(sent * 0.8);
      const sum = traces.reduce((total, { counts }) => total + counts[0]!, 0);
      // Five standard deviations of a lot of one in four.
      expect(Math.abs(sum - sent)).toBeLessThan(5 * Math.sqrt(sent * 3));
    } finally {
      await store.close();
    }
  } finally {
    child?.kill("SIGKILL");
    await rm(directory, { recursive: true, force: true });
  }
}, 180_000);
