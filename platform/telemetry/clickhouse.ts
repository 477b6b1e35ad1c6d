// The telemetry store: ClickHouse, in this process (chDB) or on a server, with its tables, its reads and its inserts.
import { join } from "node:path";
import { TsdevError } from "../../sdk/errors.ts";
import { openEmbeddedEngine } from "./embedded-engine.ts";
import { InsertQueue } from "./ingest/insert-queue.ts";
import { Spool, type SpoolOptions, type SpoolState } from "./ingest/spool.ts";
import type { IngestTable } from "./ingest/tables.ts";
import { LogFeed } from "./log-feed.ts";
import { migrateTelemetry } from "./migrate.ts";
import type { TelemetryReader } from "./reader.ts";
import { TailSampler } from "./sampling/tail-sampler.ts";
import type { SchemaOptions } from "./schema/options.ts";
import { openServerEngine } from "./server-engine.ts";

export interface TelemetryStore {
  /** Read access: SELECTs under caps, which can change nothing. */
  reader: TelemetryReader;
  /**
   * Stores RowBinary rows in the order of `columns`, which came in a request of this digest. Resolves when queries see
   * them, or when they are safe on disk while the database is away. Calls that come while an insert runs share the next
   * one. Throws `rate_limited` when too much waits and `unavailable` when the rows can be neither stored nor kept.
   */
  insert(table: IngestTable, rows: Buffer, count: number, request?: string): Promise<void>;
  /** Whether the request of this digest was stored within the last five minutes, also before a restart. */
  knows(request: string): boolean;
  /** Takes the spans of environments that keep a part of their traces. */
  tail: TailSampler;
  /** What lies on disk until the database is back. */
  spool(): SpoolState;
  /** Log records of this process's inserts, as they are stored. */
  logFeed: LogFeed;
  close(): Promise<void>;
}

export interface TelemetryOptions {
  /** Rows older than the tables' retention stay, for files that are analyzed and thrown away. */
  keepExpired?: boolean;
  /** How tables are made: on a cluster, replicated, waiting for the disk. */
  schema?: SchemaOptions;
  spool?: Pick<SpoolOptions, "limitBytes" | "sync" | "log" | "maxPauseMs">;
}

/**
 * Opens the store and brings its tables up to date. What waits for the database lies in the directory, and without an
 * address of a server the database too. There can be one store in a process, and one process for a directory: a directory
 * whose process was just killed is waited for.
 */
export async function openTelemetryStore(
  where: { directory: string; clickhouseUrl?: string | undefined },
  options: TelemetryOptions = {},
): Promise<TelemetryStore> {
  const engine = await (where.clickhouseUrl
    ? openServerEngine(where.clickhouseUrl)
    : openEmbeddedEngine(where.directory));
  try {
    await migrateTelemetry(engine, options.schema);
    if (options.keepExpired === true) await engine.command("SYSTEM STOP TTL MERGES");
  } catch (error) {
    await engine.close();
    throw readable(error);
  }
  const spool = await Spool.open({
    directory: join(where.directory, "incoming"),
    insert: (table, file, token) => engine.insert(table, file, token),
    ...options.spool,
  });
  const queue = new InsertQueue((group) => spool.store(group));
  const { sync, log } = options.spool ?? {};
  const tail = await TailSampler.open({
    directory: join(where.directory, "sampling"),
    store: (group, id) => spool.store(group, id),
    knows: (request) => spool.knows(request),
    ...(sync === undefined ? {} : { sync }),
    ...(log === undefined ? {} : { log }),
  });
  return {
    reader: {
      query: (sql, params) => answered(engine.select(sql, params ?? {})),
      explain: (sql) => engine.explain(sql).then((text) => text.split("\n"), rethrow),
      queryWithin: (sql, filters) => answered(engine.selectWithin(sql, filters)),
    },
    insert: (table, rows, count, request) => queue.add(table, rows, count, request),
    knows: (request) => tail.knows(request) || spool.knows(request),
    tail,
    spool: () => spool.state(),
    logFeed: new LogFeed(),
    async close() {
      await queue.close();
      await tail.close();
      await spool.close();
      await engine.close();
    },
  };
}

function rethrow(error: unknown): never {
  throw readable(error);
}

async function answered<Row>(text: Promise<string>): Promise<Row[]> {
  try {
    return parseRows<Row>(await text);
  } catch (error) {
    throw readable(error);
  }
}

/** Integers past 2^53, such as hashes, stay whole as text. */
function parseRows<Row>(text: string): Row[] {
  if (!/\d{16}/.test(text)) return JSON.parse(text) as Row[];
  const keepWhole = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? context?.source
      : value;
  return JSON.parse(text, keepWhole) as Row[];
}

function readable(error: unknown): TsdevError {
  if (TsdevError.is(error)) return error;
  const { type, message } = error as { type?: string; message: string };
  if (type === "TIMEOUT_EXCEEDED") {
    return new TsdevError("timeout", {
      message: "the query took longer than a query may",
      fix: "ask for a shorter time range",
      cause: error,
    });
  }
  if (type === "MEMORY_LIMIT_EXCEEDED" || type === "TOO_MANY_ROWS_OR_BYTES" || type === "TOO_MANY_ROWS") {
    // Not `unavailable`: it would be the same if it came again.
    return new TsdevError("invalid_input", {
      message: "the query reads, or needs of memory, more than a query may",
      fix: "ask for a shorter time range, or for fewer rows and groups",
      cause: error,
    });
  }
  return new TsdevError("internal", {
    message: `ClickHouse refused: ${String(message).split("\n")[0]}`,
    fix: "look at the log of the process; report it if it repeats",
    cause: error,
  });
}
