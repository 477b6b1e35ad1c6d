// What should run, on disk: one file per group, and in it whether the group is starting, live or on its way out.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { readJson, writeDurably } from "./durable-file.ts";
import type { InstanceGroup } from "./runtime.ts";

/** The files are the one truth; the router's table is derived from them. They hold environment values and are private (0600). */
export interface GroupRecord {
  group: InstanceGroup;
  state: "starting" | "live" | "stopping";
  /** Grows with every switch, so that after a kill in the middle of one the later of two live groups is the live one. */
  liveSince: number;
}

/** Groups with the same key replace each other. */
export function serviceKey(group: { project: string; environment: string; service: string }): string {
  return JSON.stringify([group.project, group.environment, group.service]);
}

export class GroupRecords {
  readonly #folder: string;
  readonly #records = new Map<string, GroupRecord>();

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder)) {
      const record = name.endsWith(".json") ? readJson<GroupRecord>(join(folder, name)) : undefined;
      if (record) this.#records.set(record.group.deploymentId, record);
    }
    // A kill between "the new one is live" and "the old one is not" left two: the older has to go.
    const latest = new Map<string, GroupRecord>();
    for (const record of this.all("live")) {
      const key = serviceKey(record.group);
      const other = latest.get(key);
      if (other === undefined) latest.set(key, record);
      else {
        latest.set(key, other.liveSince > record.liveSince ? other : record);
        this.save(other.liveSince > record.liveSince ? record : other, { state: "stopping" });
      }
    }
  }

  get(deploymentId: string): GroupRecord | undefined {
    return this.#records.get(deploymentId);
  }

  /** All groups, or those in a state; the longest live first. */
  all(state?: GroupRecord["state"]): GroupRecord[] {
    return [...this.#records.values()]
      .filter((record) => state === undefined || record.state === state)
      .sort((a, b) => a.liveSince - b.liveSince);
  }

  save(record: GroupRecord, changes: Partial<GroupRecord> = {}): void {
    Object.assign(record, changes);
    this.#records.set(record.group.deploymentId, record);
    writeDurably(this.#path(record), JSON.stringify(record));
  }

  makeLive(record: GroupRecord): void {
    const latest = Math.max(0, ...this.all().map((other) => other.liveSince));
    this.save(record, { state: "live", liveSince: latest + 1 });
  }

  remove(record: GroupRecord): void {
    this.#records.delete(record.group.deploymentId);
    rmSync(this.#path(record), { force: true });
  }

  #path(record: GroupRecord): string {
    return join(this.#folder, `${encodeURIComponent(record.group.deploymentId)}.json`);
  }
}
