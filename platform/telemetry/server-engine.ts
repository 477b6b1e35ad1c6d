// ClickHouse on a server, through the same client over HTTP.
import { createReadStream } from "node:fs";
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from "@clickhouse/client";
import { TsdevError } from "../../sdk/errors.ts";
import { columnList, outsideSettings, readSettings, type TelemetryEngine, tableFilters } from "./engine.ts";
import { columns, type IngestTable } from "./ingest/tables.ts";
import type { QueryParams } from "./reader.ts";

/** Whoever gets an error tells of it; the client would tell again. */
const log = { level: ClickHouseLogLevel.OFF };

/** Connects to the server and database of a URL such as `http://user:password@host:8123/tsdev`. */
export async function openServerEngine(url: string): Promise<TelemetryEngine> {
  const writing = createClient({ url, request_timeout: 60_000, log });
  const reading = createClient({
    url,
    request_timeout: 60_000,
    log,
    clickhouse_settings: { ...readSettings, readonly: "1" },
  });
  const ping = await writing.ping({ select: true });
  if (!ping.success) {
    await Promise.allSettled([writing.close(), reading.close()]);
    throw new TsdevError("unavailable", {
      message: `ClickHouse cannot be reached: ${ping.error.message}`,
      fix: "check CLICKHOUSE_URL and that the server runs and knows this user",
      cause: ping.error,
    });
  }
  return new ServerEngine(writing, reading);
}

class ServerEngine implements TelemetryEngine {
  readonly #writing: ClickHouseClient;
  readonly #reading: ClickHouseClient;

  constructor(writing: ClickHouseClient, reading: ClickHouseClient) {
    this.#writing = writing;
    this.#reading = reading;
  }

  async command(sql: string): Promise<void> {
    await this.#writing.command({ query: sql });
  }

  async insert(table: IngestTable, file: string, token: string): Promise<void> {
    // Over HTTP the statement is in the address and the rows alone are the body.
    const result = await this.#writing.exec({
      query: `INSERT INTO ${table} (${columnList(columns[table])}) FORMAT RowBinary`,
      values: createReadStream(file),
      clickhouse_settings: {
        async_insert: 0,
        max_partitions_per_insert_block: "0",
        insert_deduplication_token: token,
        deduplicate_blocks_in_dependent_materialized_views: 1,
      },
    });
    result.stream.resume();
  }

  async select(sql: string, params: QueryParams): Promise<string> {
    const result = await this.#reading.query({ query: sql, query_params: params, format: "JSONEachRow" });
    return result.text();
  }

  async explain(sql: string): Promise<string> {
    return (await this.#reading.query({ query: sql, format: "TabSeparatedRaw" })).text();
  }

  async selectWithin(sql: string, filters: Readonly<Record<string, string>>): Promise<string> {
    const result = await this.#reading.query({
      query: sql,
      format: "JSONEachRow",
      clickhouse_settings: {
        ...outsideSettings,
        // The client's own map does not escape quotes.
        additional_table_filters: tableFilters(filters) as never,
        readonly: "1",
      },
    });
    return result.text();
  }

  async close(): Promise<void> {
    await Promise.allSettled([this.#writing.close(), this.#reading.close()]);
  }
}
