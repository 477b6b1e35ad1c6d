// What differs from one installation to the next, from the environment.
const { env } = process;

export const settings = {
  databaseUrl: env.DATABASE_URL,
  /** How long a silent process keeps its runs, milliseconds. */
  leaseMs: Number(env.LEASE_MS ?? 10_000),
  /** How long an approval can still be taken back before anything is sent, milliseconds. */
  coolOffMs: Number(env.COOL_OFF_MS ?? 15 * 60_000),
  /** Every morning at six. */
  digestSchedule: env.DIGEST_SCHEDULE ?? "0 6 * * *",
  /** Who sends it may approve, cancel and retry. Without it nobody may. */
  clerkToken: env.CLERK_TOKEN,
};
