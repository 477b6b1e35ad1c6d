// Batch SQL: one statement that looks up a single key, rewritten to look up a list of keys, its other bytes kept.
import { parseSync, scanSync } from "libpg-query";
import { NotSure } from "./result.ts";

export interface BatchSql {
  /** The statement with `= $n` turned into `= ANY($n)`. */
  text: string;
  /** Number of the parameter that becomes a list, from 1. */
  parameter: number;
  table: string;
  /** Column that is compared, and its name in the result. */
  column: string;
  output: string;
  /** Columns of ORDER BY, plain columns only. */
  order: string[];
}

type Node = Record<string, unknown>;

/** Functions that give the same answer for the same row, whoever asks and when. */
const pureFunctions = new Set(
  "abs btrim ceil ceiling coalesce concat concat_ws floor format greatest least left length lower lpad ltrim round right rpad rtrim substring trim upper to_char date_part extract".split(
    " ",
  ),
);

const forbidden: Record<string, [condition: string, what: string]> = {
  withClause: ["sql-with", "a WITH clause"],
  lockingClause: ["sql-locks", "FOR UPDATE or FOR SHARE: a batch locks rows in another order"],
  distinctClause: ["sql-distinct", "DISTINCT, which works within one result"],
  groupClause: ["sql-aggregate", "GROUP BY, which works within one result"],
  havingClause: ["sql-aggregate", "HAVING, which works within one result"],
  limitCount: ["sql-limit", "LIMIT, which counts within one result"],
  limitOffset: ["sql-limit", "OFFSET, which counts within one result"],
  windowClause: ["sql-window", "a window, which works within one result"],
  intoClause: ["sql-into", "INTO"],
};

/**
 * Throws `NotSure` unless the text is one plain SELECT of one table whose WHERE has exactly one top-level `column = $n`.
 * `loadModule()` of libpg-query must have been called.
 */
export function batchSql(text: string, parameter: number): BatchSql {
  const select = selectOf(text);
  for (const [field, [condition, what]] of Object.entries(forbidden)) {
    if (select[field] !== undefined) throw new NotSure(condition, `the query has ${what}`);
  }
  if (select.op !== undefined && select.op !== "SETOP_NONE")
    throw new NotSure("sql-set-operation", "the query is a UNION");
  const from = (select.fromClause ?? []) as Node[];
  const relation = from[0]?.RangeVar as Node | undefined;
  if (from.length !== 1 || relation === undefined) {
    throw new NotSure("sql-join", "the query reads more than one table");
  }
  const references = parametersIn(select);
  if (references.filter((number) => number === parameter).length !== 1) {
    throw new NotSure("sql-parameter", `$${parameter} is not used exactly once`);
  }
  checkFunctions(select);

  const matches = conjuncts(select.whereClause as Node | undefined).flatMap((part) => {
    const match = equality(part, parameter);
    return match === null ? [] : [match];
  });
  const match = matches[0];
  if (matches.length !== 1 || match === undefined) {
    throw new NotSure("sql-condition", `the query has no top-level condition \`column = $${parameter}\``);
  }
  const output = outputName((select.targetList ?? []) as Node[], match.column);
  const bytes = Buffer.from(text);
  const at = (byte: number) => bytes.subarray(0, byte).toString().length;
  const end = endOfParameter(text, match.location);
  const token = text.slice(at(match.location), at(end));
  const cast = match.castable && token.includes("::") ? `${token}[]` : token;
  const batched = `${text.slice(0, at(match.location))}ANY(${cast})${text.slice(at(end))}`;
  checkOnlyKindChanged(select, batched, match.location);
  return {
    text: batched,
    parameter,
    table: String(relation.relname),
    column: match.column,
    output,
    order: orderColumns((select.sortClause ?? []) as Node[]).filter((name) => !aliases(select).has(name)),
  };
}

function selectOf(text: string): Node {
  let statements: { stmt?: Node }[];
  try {
    statements = (parseSync(text) as { stmts?: { stmt?: Node }[] }).stmts ?? [];
  } catch {
    throw new NotSure("sql-not-parsed", "PostgreSQL's parser does not take the query");
  }
  const select = statements[0]?.stmt?.SelectStmt as Node | undefined;
  if (statements.length !== 1 || select === undefined)
    throw new NotSure("sql-not-select", "the query is not one SELECT");
  return select;
}

/** The parts of a WHERE that must all hold. */
function conjuncts(where: Node | undefined): Node[] {
  if (where === undefined) return [];
  const and = where.BoolExpr as Node | undefined;
  if (and?.boolop !== "AND_EXPR") return [where];
  return ((and.args ?? []) as Node[]).flatMap(conjuncts);
}

function equality(part: Node, parameter: number): { column: string; location: number; castable: boolean } | null {
  const expression = part.A_Expr as Node | undefined;
  if (expression?.kind !== "AEXPR_OP") return null;
  const name = ((expression.name ?? []) as Node[]).map((item) => (item.String as Node | undefined)?.sval).join(".");
  const left = (expression.lexpr as Node | undefined)?.ColumnRef as Node | undefined;
  const right = expression.rexpr as Node | undefined;
  const cast = right?.TypeCast as Node | undefined;
  const reference = ((cast?.arg as Node | undefined) ?? right)?.ParamRef as Node | undefined;
  if (name !== "=" || left === undefined || reference === undefined || (reference.number ?? 0) !== parameter)
    return null;
  const fields = ((left.fields ?? []) as Node[]).map((field) => (field.String as Node | undefined)?.sval);
  const column = fields.at(-1);
  if (typeof column !== "string") return null;
  return { column, location: Number(reference.location ?? 0), castable: cast !== undefined };
}

/** End of `$1` or `$1::type` in bytes: the tokens tell, since the tree has starts only. */
function endOfParameter(text: string, start: number): number {
  const { tokens } = scanSync(text);
  const index = tokens.findIndex((token) => token.start === start);
  let end = tokens[index]?.end ?? start;
  if (tokens[index + 1]?.text === "::") {
    const type = tokens[index + 2];
    // `numeric(10,2)`, `timestamp with time zone`, `text[]`: not worth a guess.
    if (
      type === undefined ||
      !/^\w+$/.test(type.text) ||
      tokens[index + 3]?.text === "(" ||
      tokens[index + 3]?.text === "["
    ) {
      throw new NotSure("sql-cast", "the parameter is cast to a type of several words");
    }
    end = type.end;
  }
  return end;
}

/** The key's name among the results; it must be there to tell whose row a row is. */
function outputName(targets: readonly Node[], column: string): string {
  let output: string | null = null;
  const names: string[] = [];
  for (const target of targets) {
    const result = target.ResTarget as Node | undefined;
    const reference = (result?.val as Node | undefined)?.ColumnRef as Node | undefined;
    const last = ((reference?.fields ?? []) as Node[]).at(-1);
    const plain = (last?.String as Node | undefined)?.sval;
    if (last?.A_Star !== undefined) output ??= column;
    else names.push(String(result?.name ?? plain ?? ""));
    if (plain === column) output = String(result?.name ?? column);
  }
  if (output === null) throw new NotSure("sql-key-not-selected", `the query does not return \`${column}\``);
  if (names.filter((name) => name === output).length > 1) {
    throw new NotSure("sql-key-shadowed", `two results of the query are named \`${output}\``);
  }
  return output;
}

/** Names that the select list gives; in ORDER BY they hide columns of the same name. */
function aliases(select: Node): Set<unknown> {
  return new Set(((select.targetList ?? []) as Node[]).map((target) => (target.ResTarget as Node | undefined)?.name));
}

function orderColumns(sorts: readonly Node[]): string[] {
  return sorts.flatMap((sort) => {
    const reference = ((sort.SortBy as Node | undefined)?.node as Node | undefined)?.ColumnRef as Node | undefined;
    const last = (((reference?.fields ?? []) as Node[]).at(-1)?.String as Node | undefined)?.sval;
    return typeof last === "string" ? [last] : [];
  });
}

function checkFunctions(select: Node): void {
  visit(select, (name, node) => {
    if (name === "SubLink") throw new NotSure("sql-subquery", "the query has a subquery");
    if (name === "SQLValueFunction") throw new NotSure("sql-volatile", "the query asks for the time or the user");
    if (name !== "FuncCall") return;
    const called = ((node.funcname ?? []) as Node[]).map((part) => (part.String as Node | undefined)?.sval).at(-1);
    if (!pureFunctions.has(String(called))) {
      throw new NotSure("sql-function", `the query calls ${called}(), which may aggregate, write or differ by call`);
    }
  });
}

function parametersIn(value: unknown): number[] {
  const numbers: number[] = [];
  visit(value, (name, node) => {
    if (name === "ParamRef") numbers.push(Number(node.number ?? 0));
  });
  return numbers;
}

/** The new text must parse to the old tree with one comparison made a comparison with a list. */
function checkOnlyKindChanged(before: Node, text: string, location: number): void {
  let changes = 0;
  const after = selectOf(text);
  const same = (a: unknown, b: unknown, key: string): boolean => {
    // Positions move behind the edit; nothing else may.
    if (key === "location" || key === "stmt_len" || key === "arrayBounds") return true;
    if (a === "AEXPR_OP" && b === "AEXPR_OP_ANY") return ++changes === 1;
    if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    return [...keys].every((name) => same((a as Node)[name], (b as Node)[name], name));
  };
  if (!same(before, after, "") || changes !== 1) {
    throw new NotSure("sql-splice", `the rewritten query would differ in more than the comparison at byte ${location}`);
  }
}

function visit(value: unknown, see: (name: string, node: Node) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, see);
  } else if (typeof value === "object" && value !== null) {
    for (const [name, child] of Object.entries(value)) {
      if (typeof child !== "object" || child === null) continue;
      if (/^[A-Z]/.test(name) && !Array.isArray(child)) see(name, child as Node);
      visit(child, see);
    }
  }
}
