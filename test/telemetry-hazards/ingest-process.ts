// A process that takes telemetry over HTTP and gRPC until it is killed, and answers what the tests ask; options in argv[2].
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { openTelemetryStore, type TelemetryOptions } from "../../platform/telemetry/clickhouse.ts";
import { listenGrpc } from "../../platform/telemetry/ingest/grpc.ts";
import { telemetryHttp } from "../../platform/telemetry/ingest/http.ts";
import { Ingest } from "../../platform/telemetry/ingest/ingest.ts";

export interface IngestProcessOptions extends TelemetryOptions {
  directory: string;
  clickhouseUrl?: string;
}

/** What the process prints when it listens. */
export interface IngestAddresses {
  http: string;
  grpc: string;
}

const { directory, clickhouseUrl, ...options } = JSON.parse(process.argv[2]!) as IngestProcessOptions;
const store = await openTelemetryStore({ directory, clickhouseUrl }, options);
const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const authenticate = async () => tenant;
const ingest = new Ingest(store);
const app = telemetryHttp({ ingest, authenticate });
app.get("/query", async (context) => context.json(await store.reader.query(context.req.query("sql")!)));
app.get("/query-within", async (context) =>
  context.json(await store.reader.queryWithin(context.req.query("sql")!, {})),
);
app.get("/state", (context) => context.json({ spool: store.spool(), rss: process.memoryUsage.rss() }));
const grpc = await listenGrpc({ ingest, authenticate, port: 0 });
const server = createServer(getRequestListener(app.fetch)).listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  const addresses: IngestAddresses = { http: `http://127.0.0.1:${port}`, grpc: grpc.url };
  console.log(JSON.stringify(addresses));
});
