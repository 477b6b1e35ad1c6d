// Benchmarks: `npm run bench [-- NAME]`; each against a named rival or limit in the same run, as JSON on stdout.
import { hotReload } from "./hot-reload.ts";
import { http } from "./http.ts";
import { ingest } from "./ingest.ts";
import { logFollow } from "./log-follow.ts";
import { logSearch } from "./log-search.ts";
import type { Measured } from "./measured.ts";
import { telemetryStorage } from "./telemetry-storage.ts";
import { traceQuery } from "./trace-query.ts";
import { tracing } from "./tracing.ts";
import { workflow } from "./workflow.ts";

const benchmarks: Record<string, () => Promise<Measured[]>> = {
  "hot-reload": hotReload,
  http,
  ingest,
  "log-follow": logFollow,
  workflow,
  tracing,
  "log-search": logSearch,
  "telemetry-storage": telemetryStorage,
  "trace-query": traceQuery,
};

const [name] = process.argv.slice(2);
if (name !== undefined && !(name in benchmarks)) {
  process.stderr.write(`there is no benchmark ${name}; use one of ${Object.keys(benchmarks).join(", ")}\n`);
  process.exit(2);
}
const results: Measured[] = [];
for (const [key, run] of Object.entries(benchmarks))
  if (name === undefined || name === key) results.push(...(await run()));
process.stdout.write(`${JSON.stringify(results)}\n`);
