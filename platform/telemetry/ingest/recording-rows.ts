// Recordings to rows: the whole recording as JSON, with the columns by which it is found again.
import type { Recording } from "../recording.ts";
import { RowBinary } from "./row-binary.ts";
import type { Tenant, TimeBounds } from "./tables.ts";

/**
 * The name by which a recording is found: method and route of a request (`GET /orders/:id`), method and address without
 * the query of an outgoing call, the workflow of a run, the procedure of a call.
 */
export function recordingName(recording: Recording): string {
  if (recording.kind === "request") return `${recording.method} ${recording.route}`;
  if (recording.kind === "outgoing") return `${recording.method} ${recording.url.split("?")[0]}`;
  return recording.kind === "call" ? recording.procedure : recording.workflow;
}

export function encodeRecordings(
  recordings: Recording[],
  tenant: Tenant,
  deployment: string,
  bounds: TimeBounds,
): { rows: Buffer; accepted: number; tooOld: number } {
  const out = new RowBinary();
  let accepted = 0;
  for (const recording of recordings) {
    const milliseconds = BigInt(Math.round(recording.time));
    const nanoseconds = milliseconds * 1_000_000n;
    if (nanoseconds < bounds.from || nanoseconds > bounds.to) continue;
    out.int64(milliseconds);
    out.text(tenant.organizationId);
    out.text(tenant.project);
    out.text(tenant.environment);
    out.text(deployment);
    out.text(recording.kind);
    out.text(recording.traceId);
    out.text(recording.spanId);
    out.text(recordingName(recording));
    out.text(JSON.stringify(recording));
    accepted++;
  }
  return { rows: out.bytes(), accepted, tooOld: recordings.length - accepted };
}
