// CitedTraces: the traces of each environment that somebody refers to, as they were read of late.
import type { Tenant } from "../ingest/tables.ts";
import { environmentKey } from "./trace-memory.ts";

/** How long they are used before they are read again, in milliseconds. */
const freshMs = 30_000;
const none: ReadonlySet<string> = new Set();

export class CitedTraces {
  /** Reads the trace ids of an environment. */
  source: (tenant: Tenant) => Promise<Iterable<string>> = async () => none;
  readonly #read = new Map<string, { at: number; ids: ReadonlySet<string> }>();

  /** Those that were read last. */
  of(tenant: Tenant): ReadonlySet<string> {
    return this.#read.get(environmentKey(tenant))?.ids ?? none;
  }

  /** Reads those of these environments that are not fresh. What cannot be read stays as it was. */
  async refresh(tenants: readonly Tenant[], now = Date.now()): Promise<void> {
    for (const [key, tenant] of new Map(tenants.map((tenant) => [environmentKey(tenant), tenant]))) {
      const before = this.#read.get(key);
      if (before !== undefined && now - before.at < freshMs) continue;
      const ids = await this.source(tenant).then(
        (found) => new Set(found),
        () => before?.ids ?? none,
      );
      this.#read.set(key, { at: now, ids });
    }
    for (const [key, { at }] of this.#read) if (now - at > 10 * freshMs) this.#read.delete(key);
  }
}
