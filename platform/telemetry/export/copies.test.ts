// Which bodies are copied: those that were stored, once, and none that cannot be decoded.
import { expect, test } from "vitest";
import type { TelemetryStore } from "../clickhouse.ts";
import { Ingest, MalformedBody } from "../ingest/ingest.ts";

const tenant = { organizationId: "org_1", project: "shop", environment: "production" };

function ingestInto(insert: () => Promise<void>) {
  const copied: string[] = [];
  const store = { insert, knows: () => false, logFeed: { publish: () => undefined } } as unknown as TelemetryStore;
  const ingest = new Ingest(store, undefined, undefined, (signal, body, encoding) =>
    copied.push(`${signal} ${encoding} ${body.toString()}`),
  );
  return { ingest, copied };
}

test("a stored body is copied as it came, and one that is repeated only once", async () => {
  const { ingest, copied } = ingestInto(async () => undefined);
  const body = Buffer.from('{ "resourceSpans": [] }');
  await ingest.traces(body, "json", tenant);
  await ingest.traces(body, "json", tenant);
  await ingest.logs(Buffer.from('{"resourceLogs":[]}'), "json", tenant);
  await ingest.metrics(Buffer.from('{"resourceMetrics":[]}'), "json", tenant);
  expect(copied).toEqual([
    'traces json { "resourceSpans": [] }',
    'logs json {"resourceLogs":[]}',
    'metrics json {"resourceMetrics":[]}',
  ]);
});

test("a body that cannot be decoded or stored is not copied", async () => {
  const { ingest, copied } = ingestInto(async () => Promise.reject(new Error("the disk is full")));
  await expect(ingest.traces(Buffer.from("{"), "json", tenant)).rejects.toThrow(MalformedBody);
  await expect(ingest.traces(Buffer.from("{}"), "json", tenant)).rejects.toThrow("full");
  expect(copied).toEqual([]);
});
