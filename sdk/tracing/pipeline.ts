// Pipeline: the tracer provider, the instrumentations and the exporter, put together.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { propagation, trace } from "@opentelemetry/api";
import { CompositePropagator, W3CBaggagePropagator, W3CTraceContextPropagator } from "@opentelemetry/core";
import { CallSites } from "./call-site.ts";
import { followWall } from "./clock.ts";
import { SpanCompletion } from "./complete-span.ts";
import { Delivery } from "./delivery.ts";
import { HeadSampler } from "./head-sampling.ts";
import { traceIncomingRequests } from "./http-server.ts";
import { instrument } from "./instrument.ts";
import { listenToLibraries } from "./libraries/library-channels.ts";
import { LibraryHooks } from "./libraries/library-hooks.ts";
import { PgTracing } from "./libraries/pg.ts";
import { OtlpEncoder } from "./otlp.ts";
import type { OutgoingRecorder } from "./outgoing-recorder.ts";
import type { Settings } from "./settings.ts";
import { SitePolicy } from "./site-policy.ts";
import { SourceFrames } from "./source-frames.ts";
import type { RecordedSpan } from "./span.ts";
import { LeanTracerProvider } from "./tracer.ts";

const sdkFolder = dirname(dirname(fileURLToPath(import.meta.url)));

/** Turns tracing on; answers the delivery of its spans. */
export function startTracing(
  settings: Settings,
  outgoing: OutgoingRecorder | undefined,
  realNow: (() => number) | undefined,
): Delivery<RecordedSpan> {
  const sources = new SourceFrames(settings.root, sdkFolder);
  const callSites = new CallSites(sources.standingOf);
  const completion = new SpanCompletion(sources);
  const encoder = new OtlpEncoder(settings.resource);
  const delivery = new Delivery<RecordedSpan>({
    url: `${settings.endpoint}/v1/traces`,
    headers: settings.headers,
    contentType: "application/x-protobuf",
    maxItems: 512,
    delayMs: 200,
    maxQueued: 50_000,
    encode: (spans) => {
      followWall();
      for (const span of spans) completion.complete(span);
      return encoder.encode(spans);
    },
  });
  const provider = new LeanTracerProvider({
    sampler: new HeadSampler(settings.sampler.name, settings.sampler.argument),
    callSites,
    sites: new SitePolicy(settings.callSites),
    finished: (span) => delivery.add(span),
    realNow,
  });
  trace.setGlobalTracerProvider(provider);
  propagation.setGlobalPropagator(
    new CompositePropagator({ propagators: [new W3CTraceContextPropagator(), new W3CBaggagePropagator()] }),
  );
  traceIncomingRequests(provider.getTracer("@tsdev/sdk/http"));
  new PgTracing(provider.getTracer("@tsdev/sdk/pg"));
  new LibraryHooks(provider);
  listenToLibraries(provider);
  instrument(outgoing);
  return delivery;
}
