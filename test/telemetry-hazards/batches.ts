// Batches of telemetry for the hazards, by each way in, and how one is sent.
import { Client, credentials } from "@grpc/grpc-js";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { makeSpans, type TestSpan } from "../../platform/telemetry/telemetry-fixture.ts";
import type { IngestAddresses } from "./ingest-process.ts";

export const ways = ["spans", "records", "points", "spans over gRPC"] as const;
export type Way = (typeof ways)[number];
export interface Batch {
  way: Way;
  body: Buffer;
}

/** In each batch: spans, records, or points of each kind of metric. */
export const ofBatch = 5;
const five = Array.from({ length: ofBatch }, (_, i) => i);

export function spansBody(spans: TestSpan[]): Buffer {
  return Buffer.from(ProtobufTraceSerializer.serializeRequest(makeSpans(spans))!);
}

export function batch(way: Way, number: number): Batch {
  if (way === "records") return { way, body: json(records(number)) };
  if (way === "points") return { way, body: json(points(number)) };
  return { way, body: spansBody(five.map(() => ({ name: way }))) };
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const now = () => `${Date.now()}000000`;

function records(number: number) {
  const logRecords = five.map((i) => ({ timeUnixNano: now(), body: { stringValue: `record ${number}.${i}` } }));
  return { resourceLogs: [{ scopeLogs: [{ logRecords }] }] };
}

function points(number: number) {
  const attributes = [{ key: "batch", value: { intValue: number } }];
  const point = (i: number) => ({ attributes, timeUnixNano: now(), asInt: i });
  const histogram = (i: number) => ({
    attributes,
    timeUnixNano: now(),
    count: i,
    sum: i,
    bucketCounts: [i, 0],
    explicitBounds: [1],
  });
  const metrics = [
    { name: "gauge", gauge: { dataPoints: five.map(point) } },
    { name: "sum", sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: five.map(point) } },
    { name: "histogram", histogram: { aggregationTemporality: 2, dataPoints: five.map(histogram) } },
  ];
  return { resourceMetrics: [{ scopeMetrics: [{ metrics }] }] };
}

const paths = { spans: "/v1/traces", records: "/v1/logs", points: "/v1/metrics" };

/** True once the batch was acknowledged; false for any other answer, and for none. */
export async function acknowledged(to: IngestAddresses, { way, body }: Batch): Promise<boolean> {
  if (way === "spans over gRPC") return overGrpc(to.grpc, body);
  const type = way === "spans" ? "application/x-protobuf" : "application/json";
  return (await post(to, paths[way], body, type))?.status === 200;
}

/** Null where no answer came. */
export async function post(
  to: IngestAddresses,
  path: string,
  body: Buffer,
  type = "application/x-protobuf",
): Promise<Response | null> {
  const request = { method: "POST", headers: { "content-type": type }, body: new Uint8Array(body) };
  const answer = await fetch(`${to.http}${path}`, request).catch(() => null);
  await answer
    ?.clone()
    .arrayBuffer()
    .catch(() => {});
  return answer;
}

function overGrpc(url: string, body: Buffer): Promise<boolean> {
  const client = new Client(url.replace("http://", ""), credentials.createInsecure());
  const same = (bytes: Buffer) => bytes;
  const path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
  return new Promise((settle) => {
    client.makeUnaryRequest(path, same, same, body, (error) => {
      client.close();
      settle(error === null);
    });
  });
}
