// Copies to a real OpenTelemetry Collector: each span, log record and data point once, over a restart of the Collector.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hasProgram, startCollector } from "../ingest/exporters.fixture.ts";
import { makeSpans } from "../telemetry-fixture.ts";
import { Forwarder } from "./forwarder.ts";

const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
let server: Server;
let received: string[];
let exporter: string;

/** What the Collector passes on is written down here, by name. */
beforeEach(async () => {
  received = [];
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      const text = (request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body).toString();
      for (const [, name] of text.matchAll(/"(?:name|stringValue)":"((?:span|log|metric)-\d+)"/g)) received.push(name!);
      response.setHeader("content-type", "application/json");
      response.end("{}");
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  exporter = `otlp_http:\n  endpoint: http://127.0.0.1:${port}\n  encoding: json`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

test("what is copied while the Collector restarts arrives once", { timeout: 600_000 }, async ({ skip }) => {
  if (!(await hasProgram("go", ["version"], "the Collector"))) skip();
  let collector = await startCollector(exporter);
  const endpoint = collector.http;
  const forwarder = new Forwarder({
    targetsOf: async () => [{ endpoint, headers: {}, signals: ["traces", "logs", "metrics"] }],
    variablesOf: async () => new Map(),
    log: () => {},
  });
  const time = `${Date.now()}000000`;
  const sent: string[] = [];
  const send = (from: number, to: number) => {
    for (let n = from; n < to; n++) {
      sent.push(`span-${n}`, `log-${n}`, `metric-${n}`);
      const spans = ProtobufTraceSerializer.serializeRequest(makeSpans([{ name: `span-${n}` }]))!;
      forwarder.take("traces", Buffer.from(spans), "protobuf", tenant);
      const logRecords = [{ timeUnixNano: time, body: { stringValue: `log-${n}` } }];
      const logs = JSON.stringify({ resourceLogs: [{ scopeLogs: [{ logRecords }] }] });
      forwarder.take("logs", Buffer.from(logs), "json", tenant);
      const metrics = [{ name: `metric-${n}`, gauge: { dataPoints: [{ timeUnixNano: time, asInt: "1" }] } }];
      const points = JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] });
      forwarder.take("metrics", Buffer.from(points), "json", tenant);
    }
  };
  send(0, 20);
  await expect.poll(() => forwarder.total().sent, { timeout: 30_000 }).toBe(60);
  await collector[Symbol.asyncDispose]();
  send(20, 40);
  await expect.poll(() => forwarder.status(tenant)[0]?.lastError, { timeout: 30_000 }).not.toBe("");
  expect(forwarder.total().dropped).toBe(0);
  collector = await startCollector(exporter, Number(new URL(endpoint).port));
  await expect.poll(() => forwarder.total().sent, { timeout: 60_000 }).toBe(120);
  // Its end sends on what it still holds.
  await collector[Symbol.asyncDispose]();
  forwarder.close();
  expect(received.sort()).toEqual(sent.sort());
  expect(forwarder.total()).toEqual({ sent: 120, dropped: 0, waiting: 0, waitingBytes: 0 });
});
