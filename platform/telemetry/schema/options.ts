// What differs between ClickHouse in this process, on a server and on a cluster: options of the tables.
import { TsdevError } from "../../../sdk/errors.ts";

export interface SchemaOptions {
  /** Name of the cluster whose nodes all get each statement (`ON CLUSTER`). */
  cluster?: string;
  /** Tables of the engines `Replicated…`; the server needs a Keeper and the macros of `replicaPath`. */
  replicated?: boolean;
  /** Path in Keeper and name of the replica, as the two arguments of `ReplicatedMergeTree`. */
  replicaPath?: { path: string; replica: string };
  /** Rows are on the disk before an insert is acknowledged, also through a loss of power. */
  fsyncAfterInsert?: boolean;
}

/** `{uuid}` and not `{table}`: a table that was renamed keeps its path. */
export const defaultReplicaPath = { path: "/clickhouse/tables/{uuid}/{shard}", replica: "{replica}" };

/**
 * `CLICKHOUSE_CLUSTER`, `CLICKHOUSE_REPLICATED`, `CLICKHOUSE_REPLICA_PATH`, `CLICKHOUSE_REPLICA_NAME` and
 * `CLICKHOUSE_FSYNC`. Throws `invalid_input` for a value that is none.
 */
export function schemaOptionsOf(env: Record<string, string | undefined>): SchemaOptions {
  const cluster = env.CLICKHOUSE_CLUSTER;
  if (cluster !== undefined && cluster !== "" && !/^[\w.{}-]{1,100}$/.test(cluster)) {
    throw invalid("CLICKHOUSE_CLUSTER", "is no name of a cluster", "give the name that stands in system.clusters");
  }
  const path = text(env, "CLICKHOUSE_REPLICA_PATH", defaultReplicaPath.path);
  const replica = text(env, "CLICKHOUSE_REPLICA_NAME", defaultReplicaPath.replica);
  return {
    ...(cluster ? { cluster } : {}),
    replicated: flag(env, "CLICKHOUSE_REPLICATED"),
    replicaPath: { path, replica },
    fsyncAfterInsert: flag(env, "CLICKHOUSE_FSYNC"),
  };
}

function flag(env: Record<string, string | undefined>, name: string): boolean {
  const value = env[name] ?? "";
  if (["", "0", "false"].includes(value)) return false;
  if (["1", "true"].includes(value)) return true;
  throw invalid(name, `is ${JSON.stringify(value)}`, "set it to 1 or 0");
}

function text(env: Record<string, string | undefined>, name: string, otherwise: string): string {
  const value = env[name] || otherwise;
  if (/^[\w./{}-]{1,200}$/.test(value)) return value;
  throw invalid(name, "has other characters than letters, digits and ./{}_-", "set a path or a name with macros");
}

function invalid(name: string, what: string, fix: string): TsdevError {
  return new TsdevError("invalid_input", { message: `${name} ${what}`, fix, path: name });
}
