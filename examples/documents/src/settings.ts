// What differs from one installation to the next, from the environment.
const { env } = process;

if (!env.DATABASE_URL) {
  throw new Error(
    "DATABASE_URL is not set. This app needs a Postgres database that it may fill, for example " +
      '"docker run --rm -p 5432:5432 -e POSTGRES_PASSWORD=documents postgres:18" and ' +
      "DATABASE_URL=postgres://postgres:documents@localhost:5432/postgres",
  );
}

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
