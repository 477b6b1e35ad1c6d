// A process that samples what comes by HTTP into the directory of argv[2], and kills itself at the point of argv[3].
import { createServer } from "node:http";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import type { TelemetryStore } from "../../clickhouse.ts";
import { openEmbeddedEngine } from "../../embedded-engine.ts";
import { telemetryHttp } from "../../ingest/http.ts";
import { Ingest } from "../../ingest/ingest.ts";
import { Spool } from "../../ingest/spool.ts";
import { migrateTelemetry } from "../../migrate.ts";
import { TailSampler } from "../tail-sampler.ts";

const [, , directory, point] = process.argv as [string, string, string, string];
let passed = 0;
/** The third time, so that there is something before and something behind. */
function dieAt(here: string): void {
  if (here === point && ++passed === 3) process.kill(process.pid, "SIGKILL");
}

const engine = await openEmbeddedEngine(directory);
await migrateTelemetry(engine);
const spool = await Spool.open({
  directory: join(directory, "incoming"),
  async insert(table, file, token) {
    dieAt("placed");
    await engine.insert(table, file, token);
    dieAt("inserted");
  },
});
const tail = await TailSampler.open({
  directory: join(directory, "sampling"),
  windowMs: 100,
  knows: (request) => spool.knows(request),
  async store(group, id) {
    dieAt("decided");
    await spool.store(group, id);
    dieAt("stored");
  },
});
const store = { tail, knows: (request: string) => tail.knows(request) || spool.knows(request) } as TelemetryStore;
const sampling = { keepShare: 0.25, slowQuantile: 0.9, waitSeconds: 0.3, minPerMinute: 0 };
const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const app = telemetryHttp({
  ingest: new Ingest(store, undefined, async () => sampling),
  authenticate: async () => tenant,
});
app.get("/state", (context) => context.json({ ...tail.state(), spool: spool.state().files }));
const server = createServer(getRequestListener(app.fetch)).listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : address);
});
