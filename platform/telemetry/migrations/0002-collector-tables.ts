// Telemetry migration 2: every table of the Collector's exporter, retention by tenant and signal, and the columns of analysis.
import type { SchemaOptions } from "../schema/options.ts";
import { alterWindow, createTable, createView, reshapeTable, type Step } from "../schema/statements.ts";
import type { Table } from "../schema/table.ts";
import { logs, metrics, recordings, traces, traceTimes, traceTimesView } from "../schema/telemetry-tables.ts";
import { logsOfVersion1, tracesOfVersion1 } from "./0001-traces-logs-recordings.ts";

/** The columns of version 1 as they are; what is added gets its default. */
function allOf(table: Table): { columns: string[]; select: string } {
  const columns = table.columns.map(({ name }) => name);
  return { columns, select: columns.map((name) => `\`${name}\``).join(", ") };
}

export function steps(options: SchemaOptions): Step[] {
  return [
    ...reshapeTable(traces, options, allOf(tracesOfVersion1)),
    ...reshapeTable(logs, options, allOf(logsOfVersion1)),
    ...metrics.map((table) => ({ sql: createTable(table, options) })),
    { sql: createTable(traceTimes, options) },
    // Twice the same rows are one: the table keeps the first and the last time of each trace.
    {
      sql: `INSERT INTO ${traceTimes.name} (TraceId, Start, End, Organization, Project, Environment, RetentionDays) ${traceTimesView.select}`,
    },
    { sql: createView(traceTimesView, options) },
    ...alterWindow(recordings, options),
  ];
}
