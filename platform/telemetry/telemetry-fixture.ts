// For tests: a telemetry store in a fresh folder (one for each test file: a process holds one), and spans as an app makes them.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Attributes, context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { openTelemetryStore, type TelemetryStore } from "./clickhouse.ts";
import type { Tenant } from "./ingest/tables.ts";

export interface TemporaryTelemetry {
  store: TelemetryStore;
  directory: string;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function temporaryTelemetry(): Promise<TemporaryTelemetry> {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-telemetry-"));
  const store = await openTelemetryStore({ directory });
  return {
    store,
    directory,
    async [Symbol.asyncDispose]() {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A tenant that no other test uses. */
export function newTenant(): Tenant {
  tenants++;
  return { organizationId: `org_${process.pid}_${tenants}`, project: "shop", environment: "production" };
}
let tenants = 0;

export interface TestSpan {
  name: string;
  kind?: SpanKind;
  /** Milliseconds before now. */
  ago?: number;
  ms?: number;
  error?: string;
  attributes?: Attributes;
  events?: Array<{ name: string; attributes?: Attributes }>;
  children?: TestSpan[];
}

/** Spans of the real OpenTelemetry SDK: one trace for each root. */
export function makeSpans(roots: TestSpan[], resource: Attributes = {}): ReadableSpan[] {
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": "shop", ...resource }),
    spanProcessors: [new SimpleSpanProcessor({ exporter })],
  });
  const tracer = provider.getTracer("test-scope", "1.2.3");
  const now = Date.now();
  const make = (test: TestSpan, parent = context.active()) => {
    const start = now - (test.ago ?? 1_000);
    const options = { kind: test.kind ?? SpanKind.INTERNAL, attributes: test.attributes ?? {}, startTime: start };
    const span = tracer.startSpan(test.name, options, parent);
    for (const event of test.events ?? []) span.addEvent(event.name, event.attributes ?? {}, start);
    if (test.error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: test.error });
    for (const child of test.children ?? []) make({ ago: test.ago ?? 1_000, ...child }, trace.setSpan(parent, span));
    span.end(start + (test.ms ?? 5));
  };
  for (const root of roots) make(root);
  return exporter.getFinishedSpans();
}
