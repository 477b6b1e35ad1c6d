// Connection: the pool behind the Postgres store, untraced, patient while the database is away, with its clock.
import { setTimeout as sleep } from "node:timers/promises";
import { context, createContextKey } from "@opentelemetry/api";
import type { Client, Pool, PoolClient, QueryResult } from "pg";
import { TsdevError } from "../../errors.ts";
import { isTransient } from "../../policies/transient.ts";

/** The key that the OpenTelemetry SDK reads: the engine's own statements are not part of the app's traces. */
const suppressTracing = createContextKey("OpenTelemetry SDK Context Key SUPPRESS_TRACING");

/** How long a statement is tried again while the database is away, milliseconds: what runs in flight need. */
const patienceMs = 30_000;

const jsonType = 114;

export class Connection {
  readonly #pool: Pool;
  readonly #listener: () => Client;
  #offset = 0;
  #closed = false;

  private constructor(pool: Pool, listener: () => Client) {
    this.#pool = pool;
    this.#listener = listener;
  }

  /** `prepare` makes the tables. Throws `unavailable` when the database does not answer in time. */
  static async open(
    databaseUrl: string,
    connections: number,
    prepare: (pool: Pool) => Promise<void>,
  ): Promise<Connection> {
    // Loaded only here, so that an app without a database needs none of it.
    const { default: pg } = await import("pg");
    const options = { connectionString: databaseUrl, application_name: "tsdev-engine" };
    const pool = new pg.Pool({
      ...options,
      max: connections,
      connectionTimeoutMillis: 10_000,
      // JSON stays text: outputs are decoded when they are read.
      types: {
        getTypeParser: ((type: number, format: "text") =>
          type === jsonType ? (text: string) => text : pg.types.getTypeParser(type, format)) as never,
      },
    });
    // An idle connection that the server ends is replaced at the next query; without a listener it ends the process.
    pool.on("error", () => {});
    // The same for one that is in use: its query fails, which is enough.
    pool.on("connect", (client) => client.on("error", () => {}));
    const connection = new Connection(pool, () => new pg.Client(options));
    try {
      await untraced(() => patiently(() => prepare(pool), 10_000));
      await connection.askNow();
    } catch (error) {
      await pool.end();
      throw new TsdevError("unavailable", {
        message: `the workflow engine cannot use its database: ${error instanceof Error ? error.message : error}`,
        fix: "check that DATABASE_URL is right, that Postgres answers and that its user may create a schema",
        cause: error,
      });
    }
    return connection;
  }

  /** Runs a statement that may be run twice with the same end: it is tried again while the database is away. */
  async rows<R extends object>(name: string, text: string, values: unknown[], forMs = patienceMs): Promise<R[]> {
    return (await this.result(name, text, values, forMs)).rows as R[];
  }

  result(name: string, text: string, values: unknown[], forMs = patienceMs): Promise<QueryResult> {
    return untraced(() => patiently(() => this.#pool.query({ name: `tsdev-${name}`, text, values }), forMs));
  }

  /** Rows as arrays, which costs less for many of them. */
  async arrays(name: string, text: string, values: unknown[]): Promise<unknown[][]> {
    const config = { name: `tsdev-${name}`, text, values, rowMode: "array" as const };
    return untraced(() => patiently(async () => (await this.#pool.query(config)).rows as unknown[][], patienceMs));
  }

  /** A transaction, tried again as a whole. */
  transaction<T>(fn: (client: PoolClient) => Promise<T>): Promise<T> {
    return untraced(() =>
      patiently(async () => {
        const client = await this.#pool.connect();
        try {
          await client.query("BEGIN");
          const result = await fn(client);
          await client.query("COMMIT");
          client.release();
          return result;
        } catch (error) {
          const gone = await client.query("ROLLBACK").then(
            () => false,
            () => true,
          );
          client.release(gone);
          throw error;
        }
      }, patienceMs),
    );
  }

  /** Of Postgres, carried on by monotonic time since it was last asked; behind by at most that answer's way, never ahead. */
  now(): Date {
    return new Date(performance.now() + this.#offset);
  }

  async askNow(): Promise<Date> {
    const [row] = await this.rows<{ at: Date }>("now", "SELECT clock_timestamp() AS at", []);
    // As if the answer had taken no time: on a busy machine half of the way is a guess by which a timer would be early.
    this.#offset = row!.at.getTime() - performance.now();
    return row!.at;
  }

  /** Calls back for every notification on the channel, and connects again when the connection is lost. */
  async listen(channel: string, onPayload: (payload: string) => void, onConnect: () => void): Promise<void> {
    for (let wait = 100; !this.#closed; wait = Math.min(wait * 2, 5_000)) {
      const client = this.#listener();
      const lost = new Promise<void>((resolve) => {
        client.on("error", () => resolve());
        client.on("end", () => resolve());
      });
      this.#stopListening = () => void client.end().catch(() => {});
      try {
        client.on("notification", ({ payload }) => onPayload(payload ?? ""));
        await untraced(() => client.connect());
        await untraced(() => client.query(`LISTEN ${channel}`));
        wait = 100;
        onConnect();
        if (this.#closed) this.#stopListening();
        await lost;
      } catch {
        client.end().catch(() => {});
      }
      if (!this.#closed) await sleep(wait, undefined, { ref: false });
    }
  }

  #stopListening: () => void = () => {};

  async check(): Promise<void> {
    try {
      await untraced(() => this.#pool.query("SELECT 1"));
    } catch (error) {
      throw new TsdevError("unavailable", {
        message: "the workflow engine's database does not answer",
        fix: "look at the database; the engine connects again by itself",
        cause: error,
      });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopListening();
    await this.#pool.end();
  }
}

function untraced<T>(fn: () => Promise<T>): Promise<T> {
  return context.with(context.active().setValue(suppressTracing, true), fn);
}

async function patiently<T>(fn: () => Promise<T>, forMs: number): Promise<T> {
  const end = performance.now() + forMs;
  for (let wait = 20; ; wait = Math.min(wait * 2, 1_000)) {
    try {
      return await fn();
    } catch (error) {
      if (!isTransient(error) || performance.now() + wait > end) throw error;
      await sleep(wait);
    }
  }
}
