// Span fixture: loads spans of a test into a real chDB and reads them back as analyzers do; only tests import it.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Session } from "chdb";
import { statements } from "../platform/telemetry/migrations/0001-traces-logs-recordings.ts";
import type { TelemetryReader } from "../platform/telemetry/reader.ts";

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
  attributes?: Record<string, string>;
  organization?: string;
}

/** An hour ago: older rows would be removed by the table's TTL while the test runs. */
export const periodStart = Date.now() - 3_600_000;

export interface SpanStore extends AsyncDisposable {
  reader: TelemetryReader;
  load(spans: readonly TestSpan[]): void;
  clear(): void;
}

/** One chDB in a fresh folder. A process can hold one only, so a test file opens it once. */
export function openSpanStore(): SpanStore {
  const folder = mkdtempSync(join(tmpdir(), "tsdev-spans-"));
  const session = new Session(folder);
  for (const statement of statements) session.query(statement);
  return {
    reader: {
      async query<Row>(sql: string, params = {}) {
        const text = session.queryBind(
          `${sql} SETTINGS output_format_json_quote_64bit_integers = 0`,
          params,
          "JSONEachRow",
        );
        return text
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line) as Row);
      },
    },
    load(spans) {
      const rows = spans.map((span) =>
        JSON.stringify({
          Timestamp: ((periodStart + span.at) / 1000).toFixed(6),
          TraceId: span.trace,
          SpanId: span.id,
          ParentSpanId: span.parent ?? "",
          SpanName: span.name,
          SpanKind: span.kind ?? "Internal",
          ServiceName: "shop",
          SpanAttributes: span.attributes ?? {},
          Duration: Math.round(span.ms * 1e6),
          StatusCode: span.error ? "Error" : "Unset",
          Organization: span.organization ?? "org_1",
          Project: "shop",
          Environment: "production",
          Deployment: "dep_1",
        }),
      );
      session.query(`INSERT INTO otel_traces FORMAT JSONEachRow ${rows.join("\n")}`);
    },
    clear: () => void session.query("TRUNCATE TABLE otel_traces"),
    async [Symbol.asyncDispose]() {
      session.cleanup();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
