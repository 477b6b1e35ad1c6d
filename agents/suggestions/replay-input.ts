// Replay input: the recordings of a deployment that a proof may replay.
import type { Kysely } from "kysely";
import type { EnvironmentRow, ProjectRow } from "../../platform/projects/projects.ts";
import type { DatabaseSchema } from "../../platform/store/schema.ts";
import type {
  OutgoingRecording,
  Recording,
  RequestRecording,
  RunRecording,
} from "../../platform/telemetry/recording.ts";

/** Enough for several hundred requests of one route beside a sample of all others. */
const limits = { request: 4000, outgoing: 20_000, run: 4000 } as const;

export interface ReplayRecordings {
  requests: RequestRecording[];
  outgoing: OutgoingRecording[];
  runs: RunRecording[];
}

export type FindRecordings = (
  organizationId: string,
  filter: { project: string; environment: string; deployment: string; kind: Recording["kind"]; limit: number },
) => Promise<Recording[]>;

export class ReplayInput {
  readonly #db: Kysely<DatabaseSchema>;
  readonly #find: FindRecordings;

  constructor(db: Kysely<DatabaseSchema>, find: FindRecordings) {
    this.#db = db;
    this.#find = find;
  }

  /** Recordings of the newest deployment of a commit; the proof chooses among them. */
  async collect(
    place: { project: ProjectRow; environment: EnvironmentRow },
    commit: string,
  ): Promise<ReplayRecordings> {
    const deployment = await this.#db
      .selectFrom("deployments")
      .select("id")
      .where("environment_id", "=", place.environment.id)
      .where("commit", "=", commit)
      .where("live_at", "is not", null)
      .orderBy("live_at", "desc")
      .executeTakeFirst();
    if (!deployment) return { requests: [], outgoing: [], runs: [] };
    const of = (kind: keyof typeof limits) =>
      this.#find(place.project.organization_id, {
        project: place.project.name,
        environment: place.environment.name,
        deployment: deployment.id,
        kind,
        limit: limits[kind],
      });
    const [requests, outgoing, runs] = await Promise.all([of("request"), of("outgoing"), of("run")]);
    return {
      requests: requests.filter((one) => one.kind === "request"),
      outgoing: outgoing.filter((one) => one.kind === "outgoing"),
      runs: runs.filter((one) => one.kind === "run"),
    };
  }
}
