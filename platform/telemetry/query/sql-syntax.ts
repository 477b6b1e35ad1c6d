// What a SELECT refers to, by ClickHouse's own parser: its tables, functions, names and every kind of node.
import type { TelemetryReader } from "../reader.ts";

export interface SqlReferences {
  /** Tables and names of WITH, as they are written. */
  tables: string[];
  /** Names that stand by themselves or on the right of IN, where ClickHouse also takes a table. */
  names: string[];
  functions: string[];
  /** Words of the tree, such as `SelectQuery`. */
  kinds: string[];
}

/**
 * Parses one SELECT. Comments and what comes after it are gone from `text`; a second statement, and anything that is not
 * a SELECT, is an error of the parser.
 */
export async function parseSelect(
  reader: TelemetryReader,
  sql: string,
): Promise<{ text: string; references: SqlReferences }> {
  // As a value: nothing of it runs. The parser refuses a second statement here.
  const [formatted] = await reader.query<{ text: string }>("SELECT formatQuery({sql:String}) AS text", { sql });
  const text = formatted!.text;
  // In brackets there is no INTO OUTFILE, FORMAT, INSERT or SHOW. The text is whole by itself, so that it cannot end them.
  const lines = await reader.explain(`EXPLAIN AST SELECT * FROM (\n${text}\n)`);
  return { text, references: references(lines) };
}

/**
 * A name with a line break in it makes lines that are not of the tree. Each line is looked at by itself, so that these can
 * add what is refused and hide nothing.
 */
function references(lines: string[]): SqlReferences {
  const found: SqlReferences = { tables: [], names: [], functions: [], kinds: [] };
  for (const line of lines) {
    const [, kind = "", rest = ""] = /^\s*(\S+)\s?(.*)$/.exec(line) ?? [];
    if (kind === "") continue;
    found.kinds.push(kind);
    const name = rest.replace(/ \(alias .*$| \(children \d+\)$/, "");
    if (kind === "TableIdentifier") found.tables.push(name);
    else if (kind === "Function") found.functions.push(name);
    else if (kind === "Identifier") found.names.push(name);
  }
  return found;
}
