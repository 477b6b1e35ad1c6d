// ClickHouse in this process: chDB behind the ClickHouse client, one data directory for each process.
//
// What chDB asks for (measured, see docs/decisions): rows never stand in a statement, because a blank line in them ends
// it; settings are set once for each session, because they stay; a session that failed is thrown away; every session runs one statement at a time, and those
// that wait do so here and not on libuv's threads.
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type ClickHouseClient, createClient } from "@clickhouse/client";
import { TsdevError } from "../../sdk/errors.ts";
import { directoryError } from "../store/private-file.ts";
import { columnList, literal, outsideSettings, readSettings, type TelemetryEngine, tableFilters } from "./engine.ts";
import { columns, type IngestTable } from "./ingest/tables.ts";
import type { QueryParams } from "./reader.ts";
import { leastBusy, Turns } from "./turns.ts";

/** The engine's own caps on a machine that runs everything else too, in bytes. */
const serverArguments = [
  "--max_server_memory_usage=1500000000",
  "--mark_cache_size=134217728",
  "--uncompressed_cache_size=0",
  "--index_mark_cache_size=67108864",
];

/** The same interface, which each of the two packages declares for itself. */
type ClientConnection = NonNullable<NonNullable<Parameters<typeof createClient>[0]>["connection"]>;

/** Sessions for reads: a slow one of them holds up only what waits on its own. */
const readingSessions = 3;

/** How long a directory whose process was just killed may stay locked, in milliseconds. */
const lockPatienceMs = 10_000;

/** Opens the data directory. Throws `data_directory_held` when another process has it, `unavailable` without chDB. */
export async function openEmbeddedEngine(directory: string): Promise<TelemetryEngine> {
  const data = resolve(directory, "clickhouse");
  try {
    await mkdir(data, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw directoryError(directory, error);
  }
  const [{ Session }, { createChdbConnection }] = await Promise.all([
    import("chdb").catch(notInstalled),
    import("chdb/connection").catch(notInstalled),
  ]);
  const root = await patiently(data, () => new Session(data, { connectionArgs: serverArguments }));
  const connect = () =>
    createClient({ connection: createChdbConnection({ path: data }) as unknown as ClientConnection });
  return new EmbeddedEngine(connect, () => root.close());
}

/** A session with these settings that can change nothing, not even them. */
async function readOnly(
  client: ClickHouseClient,
  settings: Record<string, string | number>,
): Promise<ClickHouseClient> {
  const set = Object.entries(settings).map(([name, value]) =>
    typeof value === "string" ? `${name} = ${literal(value)}` : `${name} = ${value}`,
  );
  await client.command({ query: `SET ${set.join(", ")}` });
  // Cannot be taken back in this session; it also closes file() and url().
  await client.command({ query: "SET readonly = 1" });
  return client;
}

class EmbeddedEngine implements TelemetryEngine {
  readonly #connect: () => ClickHouseClient;
  readonly #writing: Turns;
  readonly #reading: readonly Turns[];
  readonly #release: () => void;
  #outside: Promise<unknown> = Promise.resolve();

  constructor(connect: () => ClickHouseClient, release: () => void) {
    this.#connect = connect;
    this.#writing = new Turns(async () => connect());
    this.#reading = Array.from({ length: readingSessions }, () => new Turns(() => readOnly(connect(), readSettings)));
    this.#release = release;
  }

  async command(sql: string): Promise<void> {
    await this.#writing.run((client) => client.command({ query: sql }));
  }

  async insert(table: IngestTable, file: string, token: string): Promise<void> {
    const structure = columns[table].map(([name, type]) => `\`${name}\` ${type}`).join(", ");
    const names = columnList(columns[table]);
    await this.command(
      `INSERT INTO ${table} (${names}) SELECT ${names} FROM file(${literal(file)}, RowBinary, ${literal(structure)})` +
        ` SETTINGS max_partitions_per_insert_block = 0, insert_deduplication_token = ${literal(token)},` +
        " deduplicate_blocks_in_dependent_materialized_views = 1",
    );
  }

  async select(sql: string, params: QueryParams): Promise<string> {
    return leastBusy(this.#reading).run(async (client) => {
      const result = await client.query({ query: sql, query_params: params, format: "JSONEachRow" });
      return result.text();
    });
  }

  async explain(sql: string): Promise<string> {
    const text = await leastBusy(this.#reading).run(async (client) => (await client.query({ query: sql })).text());
    // The format that is asked for becomes one of the statement that is explained; chDB's own is CSV.
    return text.replace(/^"|"$/gm, "");
  }

  selectWithin(sql: string, filters: Readonly<Record<string, string>>): Promise<string> {
    // One at a time: a slow one of these holds up the others, and nothing else.
    const turn = this.#outside.then(async () => {
      const client = this.#connect();
      try {
        await readOnly(client, { ...outsideSettings, additional_table_filters: tableFilters(filters) });
        return await (await client.query({ query: sql, format: "JSONEachRow" })).text();
      } finally {
        await client.close();
      }
    });
    this.#outside = turn.catch(() => {});
    return turn;
  }

  async close(): Promise<void> {
    await this.#outside;
    await Promise.allSettled([this.#writing, ...this.#reading].map((session) => session.close()));
    this.#release();
  }
}

async function patiently<T>(directory: string, open: () => T): Promise<T> {
  const deadline = Date.now() + lockPatienceMs;
  // The engine itself prints a line for each try that fails.
  for (let pause = 50; ; pause = Math.min(pause * 2, 1_000)) {
    try {
      return open();
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      if (/one active data directory|Cannot open a session/.test(message)) throw TsdevError.from(cause);
      if (Date.now() > deadline) {
        throw new TsdevError("data_directory_held", {
          message: `the telemetry in ${directory} cannot be opened: ${message}`,
          fix: "stop the other process that uses this data directory, or choose another with --data DIR",
          cause,
        });
      }
      await delay(pause);
    }
  }
}

function notInstalled(cause: unknown): never {
  throw new TsdevError("unavailable", {
    message: "the embedded ClickHouse (chdb) is not installed",
    fix: "run `npm install` without --omit=optional, or set CLICKHOUSE_URL to a ClickHouse of your own",
    cause,
  });
}
