// Runs hazard seeds: `npm run test:hazards -- [--seeds 20] [--runs 1000] [--from 1] [--seed N]`, one JSON line for each.
import { parseArgs } from "node:util";
import { hazardRun } from "./hazard-run.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "20" },
    runs: { type: "string", default: "1000" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    pace: { type: "string", default: "25" },
  },
});
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
}
const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;

for (let seed = first; seed < first + count; seed++) {
  const report = await hazardRun({ seed, runs: Number(values.runs), paceMs: Number(values.pace), signal: stop.signal });
  console.log(JSON.stringify({ ...report, violations: report.violations.length }));
  for (const { runId, what, journal } of report.violations.slice(0, 10)) {
    console.error(`seed ${seed}, run ${runId}: ${what}\n  ${journal.join("\n  ")}`);
  }
  if (report.violations.length > 0) process.exitCode = 1;
}
