// A process that takes telemetry over HTTP into the directory of argv[2] and prints its port, until it is killed.
import { createServer } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { getRequestListener } from "@hono/node-server";
import { openTelemetryStore } from "../clickhouse.ts";
import { telemetryHttp } from "../ingest/http.ts";
import { Ingest } from "../ingest/ingest.ts";
import { schemaOptionsOf } from "../schema/options.ts";

const schema = schemaOptionsOf(process.env);
const store = await openTelemetryStore(
  { directory: process.argv[2]! },
  { schema, spool: { sync: schema.fsyncAfterInsert ?? false } },
);
const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const app = telemetryHttp({ ingest: new Ingest(store), authenticate: async () => tenant });
// How late the event loop was since the last question, in milliseconds.
const loop = monitorEventLoopDelay({ resolution: 1 });
loop.enable();
app.get("/lag", (context) => {
  const [p50, p99, max] = [loop.percentile(50), loop.percentile(99), loop.max].map((ns) => ns / 1e6);
  loop.reset();
  return context.json({ p50, p99, max });
});
const server = createServer(getRequestListener(app.fetch)).listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : address);
});
