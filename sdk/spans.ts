// Spans: one way to run a function under a span, so that errors are told the same everywhere.
import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  type Span,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { errorType } from "./policies/transient.ts";
import { ATTR_ERROR_TYPE, tracerName } from "./semantic-conventions.ts";

// A proxy that finds the provider when it is set, also when `register` runs after this module was loaded.
const tracer = trace.getTracer(tracerName);

/** A new span below the active one (or below `parent`); the caller ends it. */
export function startSpan(name: string, attributes: Attributes, parent: Context = context.active()): Span {
  return tracer.startSpan(name, { attributes }, parent);
}

/** Runs `fn` with the span as the active one. */
export function withSpan<T>(span: Span, fn: () => Promise<T>, parent: Context = context.active()): Promise<T> {
  return context.with(trace.setSpan(parent, span), fn);
}

/** Runs `fn` under a new span; an error is recorded and thrown on. */
export function inSpan<T>(
  name: string,
  attributes: Attributes,
  fn: (span: Span) => Promise<T>,
  parent: Context = context.active(),
): Promise<T> {
  const span = startSpan(name, attributes, parent);
  // Without a tracer there is nothing to be the parent of, and a context of its own costs as much as a small handler.
  return isSpanContextValid(span.spanContext()) ? underSpan(span, fn, parent) : fn(span);
}

async function underSpan<T>(span: Span, fn: (span: Span) => Promise<T>, parent: Context): Promise<T> {
  try {
    return await withSpan(span, () => fn(span), parent);
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** Sets the status, `error.type` and an exception event. */
export function failSpan(span: Span, error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  span.setAttribute(ATTR_ERROR_TYPE, errorType(error));
  span.recordException(error instanceof Error ? error : message);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}
