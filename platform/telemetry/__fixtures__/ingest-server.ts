// A process that takes telemetry over HTTP into the directory of argv[2] and prints its port, until it is killed.
import { createServer } from "node:http";
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
const server = createServer(getRequestListener(app.fetch)).listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : address);
});
