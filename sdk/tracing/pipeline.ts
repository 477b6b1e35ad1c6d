// Pipeline: the tracer provider, the instrumentations and the exporter, put together.

import { ClientRequest } from "node:http";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { context, propagation, type Span, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { PgInstrumentation } from "@opentelemetry/instrumentation-pg";
import { UndiciInstrumentation } from "@opentelemetry/instrumentation-undici";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-base";
import { CallSites } from "./call-site.ts";
import { Delivery } from "./delivery.ts";
import type { OutgoingRecorder } from "./outgoing-recorder.ts";
import { PgPoolCallSites } from "./pg-pool.ts";
import { originalUrlAttributes, type UndiciRequestLike } from "./replay/original-url.ts";
import { isProbe } from "./request-scope.ts";
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

function instrument(callSites: CallSites, outgoing: OutgoingRecorder | undefined): void {
  new HttpInstrumentation({
    ignoreIncomingRequestHook: isProbe,
    requestHook: (span: Span, request) => {
      if (request instanceof ClientRequest) outgoing?.httpRequest(span, request);
    },
  });
  new UndiciInstrumentation({
    startSpanHook: (request) => originalUrlAttributes(request as UndiciRequestLike),
    requestHook: (span, request) => outgoing?.undiciRequest(span, request as UndiciRequestLike),
  });
  // `ignoreConnectSpans` would leave queued callbacks unbound, and queries of one request in the trace of another.
  new PgInstrumentation({});
  new PgPoolCallSites(callSites);
  // The built-in modules are patched when they are required; their named ES exports have to follow.
  const require = createRequire(import.meta.url);
  require("node:http");
  require("node:https");
  syncBuiltinESMExports();
}
