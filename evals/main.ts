// Evals: `npm run evals [-- --only NAME]`; labelled cases through what the platform claims, as JSON on stdout.
import { parseArgs } from "node:util";
import { http } from "./http/main.ts";
import type { HttpReport } from "./http/schemathesis.ts";

interface Report {
  detectors: unknown[];
  patches: unknown[];
  http?: HttpReport;
}

const names = ["http"];
const { only } = parseArgs({ options: { only: { type: "string" } } }).values;
if (only !== undefined && !names.includes(only)) {
  process.stderr.write(`there is no eval ${only}; use one of ${names.join(", ")}\n`);
  process.exit(2);
}
const report: Report = { detectors: [], patches: [] };
report.http = await http();
process.stdout.write(`${JSON.stringify(report)}\n`);
const { failures, errors, requests } = report.http;
if (failures.length + errors.length > 0 || requests === 0) process.exitCode = 1;
