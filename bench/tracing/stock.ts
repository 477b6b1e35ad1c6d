// Rival of the tracing benchmark: OpenTelemetry as its documentation sets it up, for HTTP and pg, loaded by `--import`.
import { createRequire, syncBuiltinESMExports } from "node:module";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { PgInstrumentation } from "@opentelemetry/instrumentation-pg";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
trace.setGlobalTracerProvider(
  new BasicTracerProvider({
    resource: resourceFromAttributes({ "service.name": "stock" }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  }),
);
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
new HttpInstrumentation();
new PgInstrumentation();
// The built-in modules are patched when they are required; their named ES exports have to follow.
const require = createRequire(import.meta.url);
require("node:http");
require("node:https");
syncBuiltinESMExports();
