// Pipeline: the tracer provider, the instrumentations and the exporter, put together.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { CallSites } from "./call-site.ts";
import { Delivery } from "./delivery.ts";
import { instrument } from "./instrument.ts";
import type { OutgoingRecorder } from "./outgoing-recorder.ts";
import type { Settings } from "./settings.ts";
import { SourceFrames } from "./source-frames.ts";
import { CallSiteProcessor } from "./span-processor.ts";

const sdkFolder = dirname(dirname(fileURLToPath(import.meta.url)));

/** Carries what belongs to a request through everything asynchronous; replay needs it also without traces. */
export function startContext(): void {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
}

/** Turns tracing on; answers the delivery of its spans. */
export function startTracing(
  settings: Settings,
  outgoing: OutgoingRecorder | undefined,
  realNow: (() => number) | undefined,
): Delivery<ReadableSpan> {
  const sources = new SourceFrames(settings.root, sdkFolder);
  const callSites = new CallSites(sources.standingOf);
  let complete: (span: ReadableSpan) => void = () => {};
  const delivery = new Delivery<ReadableSpan>({
    url: `${settings.endpoint}/v1/traces`,
    headers: settings.headers,
    contentType: "application/x-protobuf",
    maxItems: 512,
    delayMs: 200,
    maxQueued: 50_000,
    encode: (spans) => {
      for (const span of spans) complete(span);
      return ProtobufTraceSerializer.serializeRequest(spans) ?? new Uint8Array();
    },
  });
  const processor = new CallSiteProcessor(callSites, sources, (span) => delivery.add(span), realNow);
  complete = (span) => processor.complete(span);
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes(settings.resource),
    spanProcessors: [processor],
    // A generated IN list can have megabytes.
    spanLimits: { attributeValueLengthLimit: 16_384 },
  });
  trace.setGlobalTracerProvider(provider);
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  );
  instrument(callSites, outgoing);
  return delivery;
}
