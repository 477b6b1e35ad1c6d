// Statements for tables and views, the same for ClickHouse in this process, on a server and on a cluster.
import { defaultReplicaPath, type SchemaOptions } from "./options.ts";
import type { Column, Table, View } from "./table.ts";

/** A statement of a migration, which a process that is killed before the next one repeats. */
export interface Step {
  sql: string;
  /** A SELECT; where it has a row the step was done before and is left out. */
  unless?: string;
}

/** How many of the last inserts' tokens a table knows. */
const knownTokens = 1_000;
/** How long a replicated table knows a token, in seconds: as long as a spool may wait for the database. */
const knownSeconds = 7 * 86_400;
/**
 * How parts are merged, which is the dearest part of what a row costs. `merge_selector_base`: how many times the largest of
 * the parts that are merged all of them together are at least; ClickHouse's own is 5, and with 10 a day has some parts
 * more. `vertical_merge…`: columns are merged one after another in however few rows, where ClickHouse does so from 131,072
 * on and below moves each row with all its columns, at twice the CPU.
 */
export const mergeSettings = ["merge_selector_base = 10", "vertical_merge_algorithm_min_rows_to_activate = 1"] as const;

export function createTable(table: Table, options: SchemaOptions, name = table.name): string {
  const parts = [
    ...table.columns.map(columnText),
    ...table.indexes.map(
      ({ name: index, expression, type, granularity }) =>
        `INDEX ${index} ${expression} TYPE ${type} GRANULARITY ${granularity}`,
    ),
  ];
  return [
    `CREATE TABLE IF NOT EXISTS ${name}${onCluster(options)} (\n  ${parts.join(",\n  ")}\n) ENGINE = ${engineText(table, options)}`,
    table.partitionBy === undefined ? "" : `PARTITION BY ${table.partitionBy}`,
    table.primaryKey === undefined ? "" : `PRIMARY KEY ${table.primaryKey}`,
    `ORDER BY ${table.orderBy}`,
    table.ttl === undefined ? "" : `TTL ${table.ttl}`,
    `SETTINGS ${settingsOf(table, options).join(", ")}`,
  ]
    .filter((line) => line !== "")
    .join("\n");
}

export function createView(view: View, options: SchemaOptions): string {
  return `CREATE MATERIALIZED VIEW IF NOT EXISTS ${view.name}${onCluster(options)} TO ${view.to} AS ${view.select}`;
}

/**
 * Puts a table of another shape in the place of one with rows, which are kept. `select` makes the new rows out of those
 * of `table.name`. The exchange is one step of the database, so a reader sees either the old table or the whole new one;
 * nobody may write meanwhile.
 */
export function reshapeTable(
  table: Table,
  options: SchemaOptions,
  copy: { columns: readonly string[]; select: string },
): Step[] {
  const waiting = `${table.name}_reshaped`;
  const unless =
    `SELECT 1 FROM system.tables WHERE database = currentDatabase() AND name = '${table.name}'` +
    ` AND partition_key = ${quote(`${table.partitionBy}`)} AND sorting_key = ${quote(table.orderBy.replace(/^\(|\)$/g, ""))}`;
  const names = copy.columns.map((name) => `\`${name}\``).join(", ");
  const there = onCluster(options);
  return [
    { sql: createTable(table, options, waiting), unless },
    // What a process had copied before it was killed.
    { sql: `TRUNCATE TABLE ${waiting}${there}`, unless },
    {
      sql:
        `INSERT INTO ${waiting} (${names}) SELECT ${copy.select} FROM ${table.name}` +
        " SETTINGS max_partitions_per_insert_block = 0, max_insert_threads = 1, max_threads = 1",
      unless,
    },
    { sql: `EXCHANGE TABLES ${table.name} AND ${waiting}${there}`, unless },
    { sql: `DROP TABLE IF EXISTS ${waiting}${there} SYNC` },
  ];
}

/** Lets a table that was made without it know the tokens of its last inserts. */
export function alterWindow(table: Table, options: SchemaOptions): Step[] {
  if (options.replicated === true) return [];
  const setting = `non_replicated_deduplication_window = ${knownTokens}`;
  return [{ sql: `ALTER TABLE ${table.name}${onCluster(options)} MODIFY SETTING ${setting}` }];
}

/** Brings the settings of a table that exists to these options. */
export function alterSettings(table: Table, options: SchemaOptions): string {
  const fsync = options.fsyncAfterInsert === true ? 1 : 0;
  return `ALTER TABLE ${table.name}${onCluster(options)} MODIFY SETTING fsync_after_insert = ${fsync}, fsync_part_directory = ${fsync}, ${mergeSettings.join(", ")}`;
}

export function onCluster({ cluster }: SchemaOptions): string {
  return cluster === undefined ? "" : ` ON CLUSTER ${quote(cluster)}`;
}

function columnText({ name, type, codec, default: value, materialized }: Column): string {
  const computed = materialized === undefined ? "" : ` MATERIALIZED ${materialized}`;
  const otherwise = value === undefined ? "" : ` DEFAULT ${value}`;
  return `\`${name}\` ${type}${computed}${otherwise}${codec === undefined ? "" : ` CODEC(${codec})`}`;
}

function engineText({ engine }: Table, options: SchemaOptions): string {
  if (options.replicated !== true) return engine;
  const { path, replica } = options.replicaPath ?? defaultReplicaPath;
  return `Replicated${engine}(${quote(path)}, ${quote(replica)})`;
}

function settingsOf(table: Table, options: SchemaOptions): string[] {
  const settings = ["index_granularity = 8192", ...mergeSettings];
  if (table.ttl !== undefined) settings.push("ttl_only_drop_parts = 1");
  if (table.deduplicates && options.replicated === true) {
    settings.push(`replicated_deduplication_window_seconds = ${knownSeconds}`);
  } else if (table.deduplicates) settings.push(`non_replicated_deduplication_window = ${knownTokens}`);
  if (options.fsyncAfterInsert === true) settings.push("fsync_after_insert = 1", "fsync_part_directory = 1");
  return settings;
}

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
