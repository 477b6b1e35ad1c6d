// Pump output: what instances print becomes log records, secrets replaced, each line once also over restarts.
import type { Kysely } from "kysely";
import type { Runtime } from "../runtime/runtime.ts";
import type { Redactor } from "../secrets/redactor.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import type { ProcessLine } from "../telemetry/log-sink.ts";

/** Runs until the signal aborts. A line is acknowledged to the runtime when it is stored. */
export async function pumpOutput(parts: {
  runtime: Runtime;
  logs: { write(lines: readonly ProcessLine[]): Promise<void> };
  db: Kysely<DatabaseSchema>;
  redactor: Redactor;
  signal: AbortSignal;
}): Promise<void> {
  const { runtime, logs, db, redactor, signal } = parts;
  const organizations = new Map<string, Promise<string | null>>();

  function organizationOf(deploymentId: string): Promise<string | null> {
    let known = organizations.get(deploymentId);
    if (!known) {
      known = db
        .selectFrom("deployments")
        .select("organization_id")
        .where("id", "=", deploymentId)
        .executeTakeFirst()
        .then((row) => row?.organization_id ?? null);
      organizations.set(deploymentId, known);
      // the database may be away for the moment: the line comes again, and is asked about again
      known.catch(() => organizations.delete(deploymentId));
    }
    return known;
  }

  await runtime.output(async (line) => {
    const organizationId = await organizationOf(line.deploymentId);
    // a deployment that is no longer known has nobody who could read its lines
    if (organizationId) await logs.write([{ ...line, organizationId, text: redactor.redact(line.text) }]);
  }, signal);
}
