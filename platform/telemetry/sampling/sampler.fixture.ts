// For tests of tail sampling: a sampler whose store is a map by id, and requests made of traces.

import { readRows } from "../ingest/row-reader.fixture.ts";
import { encodeJsonSpans } from "../ingest/spans-json.ts";
import { liveBounds, type Tenant } from "../ingest/tables.ts";
import type { SamplingPolicy } from "./decision.ts";
import { TailSampler, type TailSamplerOptions } from "./tail-sampler.ts";
import { TraceParts } from "./trace-parts.ts";
import type { SampledRequest } from "./window-file.ts";

export interface SentSpan {
  trace: string;
  /** A number that tells it from the others of its trace. */
  span?: number;
  parent?: number;
  service?: string;
  name?: string;
  ms?: number;
  failed?: boolean;
  traceState?: string;
  /** Milliseconds by which the clock of its service is wrong. */
  skewMs?: number;
}

export const traceId = (seed: string | number) =>
  Array.from(String(seed), (character) => character.charCodeAt(0).toString(16))
    .join("")
    .padStart(32, "a")
    .slice(-32);

const spanId = (number: number) => (number + 1).toString(16).padStart(16, "0");

export const someTenant: Tenant = { organizationId: "org_1", project: "shop", environment: "production" };
export const policyOf = (policy: Partial<SamplingPolicy> = {}): SamplingPolicy => ({
  keepShare: 0.1,
  slowQuantile: 0.95,
  minPerMinute: 0,
  ...policy,
});

/** An ExportTraceServiceRequest in JSON. */
export function exportOf(spans: readonly SentSpan[]): object {
  const now = Date.now();
  return {
    resourceSpans: spans.map((span) => {
      const start = BigInt(now + (span.skewMs ?? 0)) * 1_000_000n;
      return {
        resource: { attributes: [{ key: "service.name", value: { stringValue: span.service ?? "shop" } }] },
        scopeSpans: [
          {
            spans: [
              {
                traceId: traceId(span.trace),
                spanId: spanId(span.span ?? 0),
                ...(span.parent === undefined ? {} : { parentSpanId: spanId(span.parent) }),
                name: span.name ?? "GET /orders",
                kind: span.parent === undefined ? 2 : 1,
                startTimeUnixNano: String(start),
                endTimeUnixNano: String(start + BigInt(Math.round((span.ms ?? 10) * 1e6))),
                traceState: span.traceState ?? "",
                status: span.failed === true ? { code: 2 } : {},
              },
            ],
          },
        ],
      };
    }),
  };
}

let digests = 0;
export function request(spans: readonly SentSpan[], policy = policyOf(), tenant = someTenant): SampledRequest {
  const seen = new TraceParts();
  const { rows } = encodeJsonSpans(exportOf(spans) as Record<string, unknown>, tenant, liveBounds(14), seen);
  const { parts, ends, partOf } = seen;
  return { digest: `digest-${digests++}`, tenant, policy, parts, ends, partOf, rows };
}

export interface StoredSpan {
  trace: string;
  span: string;
  name: string;
  count: number;
}

/** A database that stores by id, as ClickHouse does by token. */
export class StoredSpans {
  readonly groups = new Map<string, StoredSpan[]>();
  readonly requests = new Set<string>();
  readonly tries: string[] = [];

  readonly store: TailSamplerOptions["store"] = async ({ rows, requests }, id) => {
    this.tries.push(id);
    const read = readRows("otel_traces", Buffer.concat(rows));
    this.groups.set(
      id,
      read.map((row) => ({
        trace: row.TraceId as string,
        span: row.SpanId as string,
        name: row.SpanName as string,
        count: row.AdjustedCount as number,
      })),
    );
    for (const one of requests) this.requests.add(one);
  };

  all(): StoredSpan[] {
    return [...this.groups.values()].flat();
  }

  of(trace: string): StoredSpan[] {
    return this.all().filter((span) => span.trace === traceId(trace));
  }
}

export function openSampler(directory: string, stored: StoredSpans, more: Partial<TailSamplerOptions> = {}) {
  return TailSampler.open({
    directory,
    store: stored.store,
    knows: (one) => stored.requests.has(one),
    log: () => {},
    windowMs: 20,
    ...more,
  });
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
