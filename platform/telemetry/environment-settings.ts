// EnvironmentSettings: the telemetry settings of every environment, as ingest needs them with each request.
import type { Kysely } from "kysely";
import type { DatabaseSchema } from "../store/schema.ts";
import type { Tenant } from "./ingest/tables.ts";
import { changed, defaultTelemetrySettings, TelemetryChange, type TelemetrySettings } from "./telemetry-settings.ts";

/** How long settings are used before they are read again, in milliseconds: a change reaches other processes within it. */
const freshMs = 10_000;

export class EnvironmentSettings {
  readonly #db: Kysely<DatabaseSchema>;
  readonly #read = new Map<string, { at: number; settings: Promise<TelemetrySettings> }>();

  constructor(db: Kysely<DatabaseSchema>) {
    this.#db = db;
  }

  /** Those of an environment, at most ten seconds old; the defaults where there is no such environment. */
  async of(tenant: Tenant): Promise<TelemetrySettings> {
    const key = JSON.stringify([tenant.organizationId, tenant.project, tenant.environment]);
    const before = this.#read.get(key);
    if (before && Date.now() - before.at < freshMs) return before.settings;
    const settings = this.#load(tenant);
    this.#read.set(key, { at: Date.now(), settings });
    // Telemetry is taken also while Postgres is away, by what was last known.
    settings.catch(() => {
      if (before) this.#read.set(key, { at: Date.now(), settings: before.settings });
      else this.#read.delete(key);
    });
    return settings.catch(() => before?.settings ?? defaultTelemetrySettings);
  }

  /** Stores them whole. Answers what holds from now on. */
  async set(environmentId: string, settings: TelemetrySettings): Promise<TelemetrySettings> {
    await this.#db
      .updateTable("environments")
      .set({ telemetry: JSON.stringify(settings) })
      .where("id", "=", environmentId)
      .execute();
    this.#read.clear();
    return settings;
  }

  async #load({ organizationId, project, environment }: Tenant): Promise<TelemetrySettings> {
    const row = await this.#db
      .selectFrom("environments")
      .innerJoin("projects", "projects.id", "environments.project_id")
      .select("environments.telemetry")
      .where("projects.organization_id", "=", organizationId)
      .where("projects.name", "=", project)
      .where("environments.name", "=", environment)
      .executeTakeFirst();
    return settingsIn(row?.telemetry ?? {});
  }
}

/** The settings in an environment's row, whole. */
export function settingsIn(stored: object): TelemetrySettings {
  return changed(defaultTelemetrySettings, TelemetryChange.parse(stored));
}
