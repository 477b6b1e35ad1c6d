// Fixture: collects the spans that the SDK makes, with the real OpenTelemetry SDK.
import { context, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";

export interface CollectedSpans {
  /** `name` and the names of its ancestors, outermost first, joined by " > ". */
  paths(): string[];
  named(name: string): ReadableSpan[];
  reset(): void;
}

/** Once per test file: the OpenTelemetry API takes one provider per process. */
export function collectSpans(): CollectedSpans {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const path = (span: ReadableSpan): string => {
    const parent = exporter
      .getFinishedSpans()
      .find((other) => other.spanContext().spanId === span.parentSpanContext?.spanId);
    return parent ? `${path(parent)} > ${span.name}` : span.name;
  };
  return {
    paths: () => exporter.getFinishedSpans().map(path),
    named: (name) => exporter.getFinishedSpans().filter((span) => span.name === name),
    reset: () => exporter.reset(),
  };
}
