// Migration 3: what an environment sets of its telemetry; an empty object is every default.
import { type Kysely, sql } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable("environments")
    .addColumn("telemetry", "jsonb", (column) => column.notNull().defaultTo(sql`'{}'::jsonb`))
    .execute();
}
