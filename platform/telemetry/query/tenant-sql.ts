// SQL by the people of an organization over their own telemetry: read-only, capped, and safe against every way out.
import { TsdevError } from "../../../sdk/errors.ts";
import type { Tenant } from "../ingest/tables.ts";
import type { TelemetryReader } from "../reader.ts";
import { allowedFunction, type FunctionRow, functionNames } from "./sql-functions.ts";
import { parseSelect, type SqlReferences } from "./sql-syntax.ts";

/** Most rows of one answer. */
export const sqlRowLimit = 1_000;

/** Tables that can be asked; rows of other environments are not in them. */
const askable = /^otel_(traces|logs|traces_trace_id_ts|metrics_(gauge|sum|histogram|exponential_histogram|summary))$/;

/** Nodes of a plain SELECT. SETTINGS, APPLY and REPLACE are not among them. */
const kinds = new Set([
  ...["SelectWithUnionQuery", "SelectQuery", "SelectIntersectExceptQuery", "Subquery", "WithElement", "ExpressionList"],
  ...[
    "TablesInSelectQuery",
    "TablesInSelectQueryElement",
    "TableExpression",
    "TableJoin",
    "TableIdentifier",
    "ArrayJoin",
  ],
  ...["Identifier", "Literal", "Function", "Asterisk", "QualifiedAsterisk", "OrderByElement", "SampleRatio"],
  ...["ColumnsTransformerList", "ColumnsExceptTransformer", "ColumnsRegexpMatcher", "ColumnsListMatcher"],
  ...["WindowDefinition", "WindowListElement", "InterpolateElement"],
]);

/** Columns that ClickHouse adds to every table: they tell of the database and of what others have written. */
const ofStorage = /(^|\.)_(part|partition|block|disk|database|table|sample|row|shard|distance)/;

/** Most statements of an organization at once: those of all run one after another on one machine. */
const mostAtOnce = 2;

export interface SqlAnswer {
  rows: Record<string, unknown>[];
  /** There were more rows than `sqlRowLimit`. */
  truncated: boolean;
}

/**
 * Runs one SELECT over the rows of an environment. Two walls stand between it and everything else: what it refers to is
 * held against lists of what is allowed, by ClickHouse's own parser, and every table is read through a filter that the
 * statement cannot change (`additional_table_filters` in a session with `readonly = 1`). Throws `invalid_input` for a
 * statement that is wrong, reaches further or needs more than 400 MB, and `timeout` after 10 s.
 */
export class TenantSql {
  readonly #reader: TelemetryReader;
  /** How many statements run, by organization. */
  readonly #asked = new Map<string, number>();
  #functions: Promise<ReadonlyMap<string, FunctionRow>> | undefined;

  constructor(reader: TelemetryReader) {
    this.#reader = reader;
  }

  async run(tenant: Tenant, sql: string): Promise<SqlAnswer> {
    const asked = this.#asked.get(tenant.organizationId) ?? 0;
    if (asked >= mostAtOnce) {
      throw new TsdevError("rate_limited", {
        message: `${asked} statements of this organization run already`,
        fix: "wait for one of them",
      });
    }
    this.#asked.set(tenant.organizationId, asked + 1);
    try {
      return await this.#run(tenant, sql);
    } finally {
      const left = this.#asked.get(tenant.organizationId)! - 1;
      if (left > 0) this.#asked.set(tenant.organizationId, left);
      else this.#asked.delete(tenant.organizationId);
    }
  }

  async #run(tenant: Tenant, sql: string): Promise<SqlAnswer> {
    const [tables, databases] = await Promise.all([this.#tables(), this.#databases()]);
    const { text, references } = await parseSelect(this.#reader, sql).catch(refuseSyntax);
    this.#functions ??= functionNames(this.#reader);
    check(references, tables, new Set(databases), await this.#functions);
    const filters = Object.fromEntries(
      tables.map(({ name, tenant: own }) => [name, own && askable.test(name) ? rowsOf(tenant) : "0"]),
    );
    const limited = `SELECT * FROM (\n${text}\n) LIMIT ${sqlRowLimit + 1}`;
    const rows = await this.#reader.queryWithin<Record<string, unknown>>(limited, filters).catch(explainRefusal);
    return { rows: rows.slice(0, sqlRowLimit), truncated: rows.length > sqlRowLimit };
  }

  /** On a server others than ours may be there for the same user. */
  async #databases(): Promise<string[]> {
    const rows = await this.#reader.query<{ name: string }>("SELECT name FROM system.databases");
    return rows.map(({ name }) => name);
  }

  /** Every table of the database, and whether its rows say whose they are. */
  #tables(): Promise<Array<{ name: string; tenant: boolean }>> {
    return this.#reader.query(
      `SELECT table AS name, countIf(c.name IN ('Organization', 'Project', 'Environment')) = 3 AS tenant
        FROM system.columns AS c WHERE database = currentDatabase() GROUP BY table ORDER BY table`,
    );
  }
}

function check(
  found: SqlReferences,
  tables: ReadonlyArray<{ name: string; tenant: boolean }>,
  databases: ReadonlySet<string>,
  functions: ReadonlyMap<string, FunctionRow>,
): void {
  const kind = found.kinds.find((one) => !kinds.has(one));
  if (kind !== undefined) throw refused(`the statement has a part that is not allowed (${kind})`);
  for (const name of found.functions) {
    if (!allowedFunction(name, functions)) throw refused(`the function ${shown(name)} is not allowed`);
  }
  const real = new Set(tables.map(({ name }) => name));
  const open = tables.filter(({ name, tenant }) => tenant && askable.test(name)).map(({ name }) => name);
  for (const name of found.tables) {
    // A name that is no table is one of WITH, or ClickHouse does not know it.
    const allowed = real.has(name) ? open.includes(name) : /^\w+$/.test(name);
    if (!allowed) throw refused(`the table ${shown(name)} cannot be asked; there are ${open.join(", ")}`);
  }
  for (const name of found.names) {
    if (ofStorage.test(name)) throw refused(`the column ${shown(name)} is of the storage, not of the telemetry`);
    if (real.has(name) || databases.has(name.slice(0, Math.max(0, name.indexOf("."))))) {
      throw refused(`${shown(name)} stands where a table would be read as a whole: write IN (SELECT … FROM …)`);
    }
  }
}

/** The names come from the principal and from what the platform stored; a quote in one would be a bug elsewhere. */
function rowsOf(tenant: Tenant): string {
  const values = [tenant.organizationId, tenant.project, tenant.environment];
  if (!values.every((value) => /^[\w-]+$/.test(value))) {
    throw new TsdevError("internal", { message: "a tenant's name has characters that none has", fix: "report it" });
  }
  return `Organization = '${values[0]}' AND Project = '${values[1]}' AND Environment = '${values[2]}'`;
}

function shown(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

function refused(message: string, cause?: unknown): TsdevError {
  return new TsdevError("invalid_input", {
    message,
    fix: "send one SELECT over the telemetry tables, with ClickHouse's plain functions; see the reference of tables",
    path: "sql",
    ...(cause === undefined ? {} : { cause }),
  });
}

function refuseSyntax(error: unknown): never {
  throw refused(`ClickHouse does not read it: ${reason(error)}`, error);
}

function explainRefusal(error: unknown): never {
  if (TsdevError.is(error) && error.code !== "internal") throw error;
  throw refused(`ClickHouse refuses it: ${reason(error)}`, error);
}

/** The engine's sentence, without our own around it. */
function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^ClickHouse refused: /, "").slice(0, 400);
}
