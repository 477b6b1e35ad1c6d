// The memory of rows is used again, and never while somebody may still read it.
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { expect, test } from "vitest";
import type { TelemetryStore } from "../clickhouse.ts";
import { makeSpans } from "../telemetry-fixture.ts";
import { Ingest } from "./ingest.ts";
import { RowBinary } from "./row-binary.ts";
import { giveBack, takeBuffer } from "./row-buffers.ts";
import { readRows } from "./row-reader.fixture.ts";

const size = 4 * 1024 * 1024;

test("memory that was given back is taken again, once however often it was given, and nothing else is", () => {
  const first = takeBuffer(size - 1);
  giveBack(first.subarray(3, 5));
  giveBack(first);
  const [second, third] = [takeBuffer(size - 7), takeBuffer(size)];
  // Compared here: a failure would otherwise print all the bytes.
  expect(second.buffer === first.buffer).toBe(true);
  expect(third.buffer === first.buffer).toBe(false);
  const foreign = Buffer.allocUnsafeSlow(size);
  giveBack(foreign);
  expect(takeBuffer(size).buffer === foreign.buffer).toBe(false);
});

test("rows that outgrow their memory keep what was written, whoever takes what they left", () => {
  const rows = new RowBinary(64 * 1024);
  for (let i = 0; i < 20_000; i++) {
    rows.uint16(i);
    if (i % 1_000 === 0) rows.raw(Buffer.alloc(5_000, 7));
  }
  takeBuffer(64 * 1024).fill(0xff);
  takeBuffer(128 * 1024).fill(0xff);
  const written = rows.bytes();
  let at = 0;
  for (let i = 0; i < 20_000; i++) {
    expect(written.readUInt16LE(at)).toBe(i);
    at += i % 1_000 === 0 ? 5_002 : 2;
  }
});

test("requests at once have rows of their own until each is stored; what failed is not used again", async () => {
  const waiting: Array<{ rows: Buffer; before: Buffer; settle: () => void; fail: (error: Error) => void }> = [];
  const store = {
    knows: () => false,
    insert: (_table: string, rows: Buffer) =>
      new Promise<void>((settle, fail) => waiting.push({ rows, before: Buffer.from(rows), settle, fail })),
  } as unknown as TelemetryStore;
  const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
  const ingest = new Ingest(store);
  const send = (name: string) => {
    const spans = makeSpans(Array.from({ length: 400 }, (_, i) => ({ name: `${name} ${i}` })));
    return ingest.traces(Buffer.from(ProtobufTraceSerializer.serializeRequest(spans)!), "protobuf", tenant);
  };
  const inserts = async (count: number) => expect.poll(() => waiting.length).toBe(count);
  const sent = [send("a"), send("b")];
  await inserts(2);
  waiting[0]!.settle();
  await sent[0];
  waiting[1]!.fail(new Error("away"));
  await expect(sent[1]).rejects.toThrow("away");
  const later = [send("c"), send("d")];
  await inserts(4);
  const memories = waiting.map(({ rows }) => rows.buffer);
  expect(memories[2] === memories[0]).toBe(true);
  expect(new Set(memories.slice(1)).size).toBe(3);
  for (const { rows, before } of waiting.slice(1)) expect(rows.equals(before)).toBe(true);
  expect(readRows("otel_traces", waiting[3]!.rows)[399]).toMatchObject({ SpanName: "d 399" });
  for (const { settle } of waiting.slice(2)) settle();
  await Promise.all(later);
});
