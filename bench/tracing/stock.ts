// Rival of the tracing benchmark: OpenTelemetry as its documentation sets it up, for HTTP and pg, loaded by `--import`.
import { createRequire, syncBuiltinESMExports } from "node:module";
import { context, propagation, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { PgInstrumentation } from "@opentelemetry/instrumentation-pg";
import { resourceFromAttributes } from "@opentelemetry/resources";

const require = createRequire(new URL("../../sdk/package.json", import.meta.url));
const { AsyncLocalStorageContextManager } = require("@opentelemetry/context-async-hooks");
const { BasicTracerProvider, BatchSpanProcessor } = require("@opentelemetry/sdk-trace-base");

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
require("node:http");
require("node:https");
syncBuiltinESMExports();
