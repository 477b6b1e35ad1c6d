// Instrument: turns on the instrumentation of every library that is traced.
import { ClientRequest } from "node:http";
import { createRequire, syncBuiltinESMExports } from "node:module";
import type { Span } from "@opentelemetry/api";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { UndiciInstrumentation } from "@opentelemetry/instrumentation-undici";
import type { OutgoingRecorder } from "./outgoing-recorder.ts";
import { originalUrlAttributes, type UndiciRequestLike } from "./replay/original-url.ts";
import { handedOnUnsampled } from "./unsampled-call.ts";

/** Must come before the app's modules are loaded. */
export function instrument(outgoing: OutgoingRecorder | undefined): void {
  new HttpInstrumentation({
    // http-server.ts makes these spans, at a fraction of the cost.
    disableIncomingRequestInstrumentation: true,
    requestHook: (span: Span, request) => {
      if (request instanceof ClientRequest) outgoing?.httpRequest(span, request);
    },
  });
  new UndiciInstrumentation({
    ignoreRequestHook: (request) => handedOnUnsampled(request as UndiciRequestLike),
    startSpanHook: (request) => originalUrlAttributes(request as UndiciRequestLike),
    requestHook: (span, request) => outgoing?.undiciRequest(span, request as UndiciRequestLike),
  });
  // The built-in modules are patched when they are required; their named ES exports have to follow.
  const require = createRequire(import.meta.url);
  require("node:http");
  require("node:https");
  syncBuiltinESMExports();
}
