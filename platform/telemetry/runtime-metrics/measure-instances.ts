// Looks at instances and router of this machine at regular times, and stores what they tell with the telemetry of its tenant.
import type { Kysely } from "kysely";
import { listProcesses } from "../../runtime/process-identity.ts";
import type { RequestMetricsState } from "../../runtime/router/request-metrics.ts";
import type { InstanceStatus } from "../../runtime/runtime.ts";
import type { DatabaseSchema } from "../../store/schema.ts";
import type { Ingest } from "../ingest/ingest.ts";
import { deploymentTenants } from "./deployment-tenants.ts";
import { InstanceMetrics, type MeasuredInstance } from "./instance-metrics.ts";
import { requestDurations } from "./request-durations.ts";

export interface MeasureParts {
  db: Kysely<DatabaseSchema>;
  instances(): Promise<InstanceStatus[]>;
  /** Of the router. */
  requests(): Promise<RequestMetricsState>;
  ingest: Pick<Ingest, "metrics">;
  log(message: string): void;
  signal: AbortSignal;
  /** Keeps the sums of ended processes over restarts. */
  file: string;
  /** Between two looks, milliseconds; default 15,000. */
  everyMs?: number;
}

/** Goes on until aborted. A look that fails (Postgres is away) is left out. */
export function measureInstances({
  db,
  instances,
  requests,
  ingest,
  log,
  signal,
  file,
  everyMs = 15_000,
}: MeasureParts): void {
  const metrics = new InstanceMetrics(file);
  repeatedly(everyMs, signal, log, "instances could not be measured", async () => {
    const measured = await measuredInstances(db, await instances());
    for (const { tenant, body } of metrics.requests(measured)) await ingest.metrics(body, "json", tenant);
  });
  repeatedly(everyMs, signal, log, "what the router measured could not be read", async () => {
    const state = await requests();
    const tenants = await deploymentTenants(
      db,
      state.groups.map(({ group }) => group),
    );
    for (const { tenant, body } of requestDurations(state, tenants)) await ingest.metrics(body, "json", tenant);
  });
}

/** Never twice at once; a failure is told once until it goes well again. */
function repeatedly(
  everyMs: number,
  signal: AbortSignal,
  log: (message: string) => void,
  trouble: string,
  look: () => Promise<void>,
): void {
  let busy = false;
  let told = false;
  const turn = async () => {
    if (busy || signal.aborted) return;
    busy = true;
    try {
      await look();
      told = false;
    } catch (error) {
      if (!told && !signal.aborted) log(`${trouble}: ${String(error)}`);
      told = true;
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void turn(), everyMs);
  timer.unref();
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

async function measuredInstances(
  db: Kysely<DatabaseSchema>,
  statuses: readonly InstanceStatus[],
): Promise<MeasuredInstance[]> {
  const running = statuses.filter(({ state, pid }) => state !== "exited" && pid > 0);
  if (running.length === 0) return [];
  const tenants = await deploymentTenants(
    db,
    running.map(({ deploymentId }) => deploymentId),
  );
  const processes = listProcesses();
  return running.flatMap(({ id, pid, deploymentId, startedAt }): MeasuredInstance[] => {
    const of = tenants.get(deploymentId);
    const group = processes.find((entry) => entry.pid === pid)?.group;
    if (!of || group === undefined) return [];
    return [
      {
        ...of,
        ...{ deploymentId, instanceId: id, startedAt: Date.parse(startedAt) },
        pids: processes.filter((entry) => entry.group === group).map((entry) => entry.pid),
      },
    ];
  });
}
