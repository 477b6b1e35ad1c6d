// Migration 2: tokens of a browser's session end.
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable("api_tokens").addColumn("expires_at", "timestamptz").execute();
  // sessions from before are named so by the identity, and no other token is
  await sql`UPDATE api_tokens SET expires_at = created_at + interval '30 days' WHERE name LIKE '% in a browser'`.execute(
    db,
  );
}
