// The limit of ingest: a process that stores the same rows without HTTP and without decoding; prints what it reached.

import { openTelemetryStore } from "../../platform/telemetry/clickhouse.ts";
import { encodeProtobufSpans } from "../../platform/telemetry/ingest/spans-protobuf.ts";
import { liveBounds } from "../../platform/telemetry/ingest/tables.ts";
import { Payloads, spansOfRequest } from "./payloads.ts";

const [directory, seconds, connections] = process.argv.slice(2) as [string, string, string];
const store = await openTelemetryStore({ directory });
const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const payloads = new Payloads();
// Many, so that rows repeat no more than they must: making them anew each time would be paid here and not there.
const requests = Array.from({ length: 100 }, () =>
  Buffer.from(encodeProtobufSpans(payloads.fresh("protobuf"), tenant, liveBounds(14)).rows),
);
let spans = 0;
const warmUpMs = 3_000;
const until = Date.now() + warmUpMs + Number(seconds) * 1_000;
let [cpu, started] = [process.cpuUsage(), performance.now()];
setTimeout(() => {
  [cpu, started, spans] = [process.cpuUsage(), performance.now(), 0];
}, warmUpMs);
await Promise.all(
  Array.from({ length: Number(connections) }, async (_, i) => {
    for (let round = i; Date.now() < until; round++) {
      await store.insert("otel_traces", requests[round % requests.length]!, spansOfRequest);
      spans += spansOfRequest;
    }
  }),
);
const spent = process.cpuUsage(cpu);
const elapsed = (performance.now() - started) / 1_000;
console.log(JSON.stringify({ perSecond: spans / elapsed, cpuPerMillion: (spent.user + spent.system) / spans }));
await store.close();
