// The log histogram: how many records of each severity were written in equal stretches of time.
import { z } from "zod";
import type { QueryParams, TelemetryReader } from "./reader.ts";
import { severities, severityOf } from "./severity.ts";

const counts = z.object({
  trace: z.int(),
  debug: z.int(),
  info: z.int(),
  warn: z.int(),
  error: z.int(),
  fatal: z.int(),
});

export const LogHistogram = z.object({
  everyMs: z.number(),
  points: z.array(counts.extend({ at: z.number().meta({ description: "its start, ms since the epoch" }) })),
});
export type LogHistogram = z.infer<typeof LogHistogram>;

/** Equal stretches from `since` to `until`, those without a record too. Milliseconds since the epoch. */
export async function logHistogram(
  reader: TelemetryReader,
  { where, params }: { where: string; params: QueryParams },
  { since, until }: { since: number; until: number },
  points: number,
): Promise<LogHistogram> {
  const everyMs = Math.max(1_000, Math.ceil((until - since) / points));
  const rows = await reader.query<{ stretch: number; SeverityNumber: number; records: number }>(
    `SELECT toUInt32(intDiv(toUnixTimestamp64Milli(Timestamp) - {first:Int64}, {every:Int64})) AS stretch,
        SeverityNumber, count() AS records
      FROM otel_logs WHERE ${where} GROUP BY stretch, SeverityNumber`,
    { ...params, first: Math.floor(since), every: everyMs },
  );
  const made = Array.from({ length: Math.max(1, Math.ceil((until - since) / everyMs)) }, (_, stretch) => ({
    at: Math.floor(since) + stretch * everyMs,
    ...(Object.fromEntries(severities.map((name) => [name, 0])) as z.infer<typeof counts>),
  }));
  for (const row of rows) {
    const point = made[row.stretch];
    if (point !== undefined) point[severityOf(row.SeverityNumber)] += Number(row.records);
  }
  return { everyMs, points: made };
}
