// Looks at every instance of this machine at regular times, and stores what it uses with the telemetry of its tenant.
import type { Kysely } from "kysely";
import { listProcesses } from "../../runtime/process-identity.ts";
import type { InstanceStatus } from "../../runtime/runtime.ts";
import type { DatabaseSchema } from "../../store/schema.ts";
import type { Ingest } from "../ingest/ingest.ts";
import { InstanceMetrics, type MeasuredInstance } from "./instance-metrics.ts";

export interface MeasureParts {
  db: Kysely<DatabaseSchema>;
  instances(): Promise<InstanceStatus[]>;
  ingest: Pick<Ingest, "metrics">;
  log(message: string): void;
  signal: AbortSignal;
  /** Between two looks, milliseconds; default 15,000. */
  everyMs?: number;
}

/** Goes on until aborted. A look that fails (Postgres is away) is left out. */
export function measureInstances({ db, instances, ingest, log, signal, everyMs = 15_000 }: MeasureParts): void {
  const metrics = new InstanceMetrics();
  let busy = false;
  let told = false;
  const look = async () => {
    if (busy || signal.aborted) return;
    busy = true;
    try {
      const measured = await measuredInstances(db, await instances());
      for (const { tenant, body } of metrics.requests(measured)) await ingest.metrics(body, "json", tenant);
      told = false;
    } catch (error) {
      if (!told && !signal.aborted) log(`instances could not be measured: ${String(error)}`);
      told = true;
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void look(), everyMs);
  timer.unref();
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

async function measuredInstances(
  db: Kysely<DatabaseSchema>,
  statuses: readonly InstanceStatus[],
): Promise<MeasuredInstance[]> {
  const running = statuses.filter(({ state, pid }) => state !== "exited" && pid > 0);
  if (running.length === 0) return [];
  const deployments = await db
    .selectFrom("deployments")
    .innerJoin("environments", "environments.id", "deployments.environment_id")
    .innerJoin("projects", "projects.id", "deployments.project_id")
    .select([
      "deployments.id",
      "deployments.organization_id as organizationId",
      "deployments.service",
      "projects.name as project",
      "environments.name as environment",
    ])
    .where("deployments.id", "in", [...new Set(running.map(({ deploymentId }) => deploymentId))])
    .execute();
  const processes = listProcesses();
  return running.flatMap(({ id, pid, deploymentId, startedAt }): MeasuredInstance[] => {
    const of = deployments.find((row) => row.id === deploymentId);
    const group = processes.find((entry) => entry.pid === pid)?.group;
    if (!of || group === undefined) return [];
    const { organizationId, project, environment, service } = of;
    return [
      {
        tenant: { organizationId, project, environment },
        ...{ deploymentId, service, instanceId: id, startedAt: Date.parse(startedAt) },
        pids: processes.filter((entry) => entry.group === group).map((entry) => entry.pid),
      },
    ];
  });
}
