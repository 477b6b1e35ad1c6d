// Digest: each morning, what came and what was archived in the day before.
import { cron, procedure, workflow } from "@tsdev/sdk";
import { z } from "zod";
import { pool } from "./database.ts";
import { settings } from "./settings.ts";

export const writeDigest = procedure({
  name: "write-digest",
  input: z.object({ at: z.date() }),
  output: z.object({ received: z.int(), archived: z.int() }),
  effects: { reads: ["documents"], writes: ["digests"] },
  idempotent: true,
  handler: async ({ at }) => {
    const { rows } = await pool.query<{ received: number; archived: number }>(
      `INSERT INTO digests
       SELECT $1::timestamptz,
         count(*) FILTER (WHERE received_at > $1::timestamptz - interval '1 day' AND received_at <= $1),
         count(*) FILTER (WHERE archived_at > $1::timestamptz - interval '1 day' AND archived_at <= $1)
       FROM documents
       ON CONFLICT (at) DO UPDATE SET at = EXCLUDED.at
       RETURNING received, archived`,
      [at],
    );
    return rows[0] ?? { received: 0, archived: 0 };
  },
});

export const digest = workflow("digest")
  .input(z.object({ at: z.date() }))
  .step(writeDigest);

/** At six by the clocks of Berlin, also on the two days of the year that have 23 and 25 hours. */
export const dailyDigest = cron({
  name: "daily-digest",
  schedule: settings.digestSchedule,
  timeZone: "Europe/Berlin",
  missed: "once",
  workflow: digest,
  input: (at) => ({ at }),
});
