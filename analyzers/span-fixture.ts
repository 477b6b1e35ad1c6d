// Span fixture: sends a test's spans as OTLP/JSON into a real telemetry store and analyzes them; only tests import it.
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTelemetryStore } from "../platform/telemetry/clickhouse.ts";
import { Ingest } from "../platform/telemetry/ingest/ingest.ts";
import type { AnalysisScope } from "./analyzer.ts";
import { type Analysis, type AnalyzeOptions, analyze } from "./index.ts";

/** A span as a test writes it; times in milliseconds since the start of the observed period. */
export interface TestSpan {
  trace: string;
  id: string;
  parent?: string;
  name: string;
  kind?: "Server" | "Client" | "Internal" | "Producer";
  at: number;
  ms: number;
  error?: boolean;
  attributes?: Record<string, string | number>;
}

/** An hour ago: older rows would be removed by the table's retention while the test runs. */
const periodStart = Date.now() - 3_600_000;
const kinds = { Internal: 1, Server: 2, Client: 3, Producer: 4 };
const hex = (text: string, bytes: number) =>
  createHash("sha256")
    .update(text)
    .digest("hex")
    .slice(0, bytes * 2);

/** The id under which a trace of a test is stored. */
export const traceId = (trace: string) => hex(trace, 16);

export interface SpanStore extends AsyncDisposable {
  /** Stores the spans for a tenant of their own and runs the detectors over it. */
  analyze(spans: readonly TestSpan[], options?: AnalyzeOptions): Promise<Analysis>;
  /** Runs them over another organization's part of the same store. */
  analyzeAs(organizationId: string): Promise<Analysis>;
}

/** A process can hold one embedded store, so a test file opens it once. */
export async function openSpanStore(): Promise<SpanStore> {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-spans-"));
  const store = await openTelemetryStore({ directory });
  const ingest = new Ingest(store);
  let project = 0;
  const scopeOf = (organizationId: string): AnalysisScope => ({
    organizationId,
    project: `project-${project}`,
    environment: "production",
    since: new Date(periodStart),
    until: new Date(periodStart + 3_600_000),
  });
  return {
    async analyze(spans, options) {
      project++;
      const scope = scopeOf("org_1");
      const result = await ingest.traces(Buffer.from(JSON.stringify(otlp(spans))), "json", scope);
      if (result.accepted !== spans.length) throw new Error(`stored ${result.accepted} of ${spans.length}`);
      return analyze(store.reader, scope, options);
    },
    analyzeAs: (organizationId) => analyze(store.reader, scopeOf(organizationId)),
    async [Symbol.asyncDispose]() {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function otlp(spans: readonly TestSpan[]) {
  const nano = (at: number) => String(BigInt(Math.round((periodStart + at) * 1000)) * 1000n);
  const attributes = (values: Record<string, string | number>) =>
    Object.entries(values).map(([key, value]) => ({
      key,
      value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
    }));
  return {
    resourceSpans: [
      {
        resource: { attributes: attributes({ "service.name": "shop" }) },
        scopeSpans: [
          {
            spans: spans.map((span) => ({
              traceId: traceId(span.trace),
              spanId: hex(`${span.trace}/${span.id}`, 8),
              ...(span.parent === undefined ? {} : { parentSpanId: hex(`${span.trace}/${span.parent}`, 8) }),
              name: span.name,
              kind: kinds[span.kind ?? "Internal"],
              startTimeUnixNano: nano(span.at),
              endTimeUnixNano: nano(span.at + span.ms),
              attributes: attributes(span.attributes ?? {}),
              status: span.error === true ? { code: 2 } : {},
            })),
          },
        ],
      },
    ],
  };
}
