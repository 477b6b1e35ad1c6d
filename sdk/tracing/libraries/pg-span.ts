// pg span: what the spans of pg's queries and connections have in common: names, attributes and how they end.
import { type Attributes, type Context, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  DB_SYSTEM_NAME_VALUE_POSTGRESQL,
} from "@opentelemetry/semantic-conventions";
import { RecordedSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";

export type Callback = (...args: unknown[]) => unknown;

export interface ConnectionParameters {
  host?: string;
  port?: number;
  database?: string;
}

/** What analyzers know these spans by. */
export const pgNames = { query: "pg.query", connect: "pg.connect", poolConnect: "pg-pool.connect" } as const;

export function attributesOf({ host, port, database }: ConnectionParameters): Attributes {
  return {
    [ATTR_DB_SYSTEM_NAME]: DB_SYSTEM_NAME_VALUE_POSTGRESQL,
    [ATTR_DB_NAMESPACE]: database,
    [ATTR_SERVER_ADDRESS]: host,
    // pg reads a port that is none as NaN.
    [ATTR_SERVER_PORT]: Number.isInteger(port) ? port : undefined,
  };
}

/** The span of a connection that is being made; undefined where nobody will see it. */
export function connecting(
  tracer: LeanTracer,
  name: string,
  parameters: () => ConnectionParameters,
  active: Context,
): RecordedSpan | undefined {
  if (isTracingSuppressed(active)) return undefined;
  const span = tracer.begin(name, SpanKind.CLIENT, {}, trace.getSpan(active));
  if (!(span instanceof RecordedSpan)) return undefined;
  span.attributes = attributesOf(parameters());
  return span;
}

export function finish(span: RecordedSpan, error: unknown): void {
  if (span.ended) return;
  if (error) {
    const { name, code, message } = error as { name?: string; code?: unknown; message?: string };
    span.setAttribute(ATTR_ERROR_TYPE, typeof code === "string" ? code : (name ?? "Error"));
    // SQLSTATE has five characters; other codes are Node's.
    if (typeof code === "string" && code.length === 5) span.setAttribute(ATTR_DB_RESPONSE_STATUS_CODE, code);
    // Messages of Postgres quote values; an exception's event would keep them and the stack beside them.
    span.recordException(`${name ?? "Error"} of PostgreSQL (code: ${String(code ?? "none")})`);
    span.setStatus({ code: SpanStatusCode.ERROR, message });
  }
  span.end();
}

/** The statement of what `query` was given. */
export function textOf(config: unknown): string | undefined {
  const text = typeof config === "object" && config !== null ? (config as { text?: unknown }).text : config;
  return typeof text === "string" ? text : undefined;
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === "function";
}
