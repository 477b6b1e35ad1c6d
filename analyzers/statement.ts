// Statement: what one SQL text reads and writes, whether repeating it is harmless, and whether it pages through a list.
import { parseSync } from "libpg-query";

export interface Statement {
  kind: "select" | "insert" | "update" | "delete" | "other";
  /** Tables, without schema `public`. */
  reads: string[];
  writes: string[];
  /** How it fetches one page of a longer list, if it does. */
  paging: "offset" | "keyset" | null;
  /** True when running it twice leaves what running it once leaves. */
  repeatable: boolean;
  /** False when the text was not understood: its reads and writes are then unknown. */
  understood: boolean;
}

type Node = Record<string, unknown>;

/** Functions that neither write nor depend on a sequence or session; an unknown one might. */
const pureFunctions = new Set(
  `abs array_agg array_length avg bool_and bool_or btrim ceil ceiling char_length coalesce concat concat_ws count date
  date_part date_trunc extract floor format greatest json_agg json_build_array json_build_object jsonb_agg
  jsonb_build_array jsonb_build_object least left length lower lpad ltrim max min mod now now nullif position power
  regexp_replace repeat replace right round row_number rpad rtrim split_part sqrt string_agg strpos substring sum
  to_char to_date to_json to_jsonb to_timestamp trim unnest upper json_object_agg jsonb_object_agg rank dense_rank lag
  lead first_value last_value array_position array_remove array_to_string string_to_array current_setting
  clock_timestamp statement_timestamp generate_series`.split(/\s+/),
);

/**
 * Reads the text with PostgreSQL's own parser; call `loadModule()` of libpg-query before. What that parser does not
 * take (another dialect, a truncated text) comes back as not understood, with the kind from its first word.
 */
export function describeStatement(text: string): Statement {
  let tree: Node;
  try {
    const statements = (parseSync(text) as { stmts?: { stmt?: Node }[] }).stmts ?? [];
    if (statements.length !== 1 || statements[0]?.stmt === undefined) return unknownStatement(text);
    tree = statements[0].stmt;
  } catch {
    return unknownStatement(text);
  }
  const tag = Object.keys(tree)[0] ?? "";
  const kind = kinds[tag] ?? "other";
  const body = tree[tag] as Node;
  const result: Statement = {
    kind,
    reads: [],
    writes: [],
    paging: null,
    repeatable: false,
    understood: kind !== "other",
  };
  if (!result.understood) return result;

  const names = new Set<string>();
  const reads = new Set<string>();
  const writes = new Set<string>();
  let calls = true;
  let locks = false;
  visit(tree, (name, node) => {
    if (name === "CommonTableExpr") names.add(String(node.ctename));
    if (name === "FuncCall" && !pureFunctions.has(lastName(node.funcname))) calls = false;
    if (name === "LockingClause") locks = true;
    if (name === "InsertStmt" || name === "UpdateStmt" || name === "DeleteStmt") {
      writes.add(tableName(node.relation as Node));
    }
    if (name === "RangeVar") reads.add(tableName(node));
  });
  for (const name of names) reads.delete(name);
  // The target of an INSERT is a RangeVar without a tag, so what is left here is really read.
  result.reads = [...reads].sort();
  result.writes = [...writes].sort();
  if (locks) result.writes = [...new Set([...result.writes, ...result.reads])].sort();
  if (!calls) result.understood = false;
  if (kind === "select") {
    result.paging = pagingOf(body);
    result.repeatable = calls && result.writes.length === 0;
  } else {
    result.repeatable = calls && writes.size === 1 && repeatableWrite(kind, body);
  }
  return result;
}

const kinds: Record<string, Statement["kind"]> = {
  SelectStmt: "select",
  InsertStmt: "insert",
  UpdateStmt: "update",
  DeleteStmt: "delete",
};

function unknownStatement(text: string): Statement {
  const word = /^\s*(\w+)/.exec(text)?.[1]?.toLowerCase() ?? "";
  const kind = word === "insert" || word === "update" || word === "delete" || word === "select" ? word : "other";
  const paging = kind === "select" && /\boffset\s+(\?|\$\d|:\w|\d)/i.test(text) ? "offset" : null;
  return { kind, reads: [], writes: [], paging, repeatable: false, understood: false };
}

/** An upsert, an update to values that do not build on the old ones, and a delete end the same when repeated. */
function repeatableWrite(kind: Statement["kind"], body: Node): boolean {
  if (kind === "delete") return true;
  if (kind === "update") return !readsColumns(body.targetList);
  const conflict = body.onConflictClause as Node | undefined;
  if (conflict === undefined) return false;
  if (conflict.action === "ONCONFLICT_NOTHING") return true;
  return !readsColumns(conflict.targetList);
}

/** True when a SET list computes with columns of the row (`stock = stock - 1`); `excluded.x` is the new value. */
function readsColumns(targets: unknown): boolean {
  let found = false;
  visit(targets, (name, node) => {
    if (name === "ColumnRef" && fieldNames(node)[0] !== "excluded") found = true;
    if (name === "SubLink" || name === "FuncCall") found = true;
  });
  return found;
}

function pagingOf(select: Node): Statement["paging"] {
  if (select.limitOffset !== undefined) return "offset";
  if (select.limitCount === undefined) return null;
  const sorted = new Set<string>();
  visit(select.sortClause, (name, node) => {
    if (name === "ColumnRef") sorted.add(fieldNames(node).at(-1) ?? "");
  });
  let keyset = false;
  visit(select.whereClause, (name, node) => {
    if (name !== "A_Expr" || !/^[<>]=?$/.test(lastName(node.name))) return;
    visit([node.lexpr, node.rexpr], (inner, column) => {
      if (inner === "ColumnRef" && sorted.has(fieldNames(column).at(-1) ?? "")) keyset = true;
    });
  });
  return keyset ? "keyset" : null;
}

/** Calls `see` for every tagged node (`{ RangeVar: {…} }`) of a parse tree. */
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

function tableName(node: Node): string {
  const schema = node.schemaname;
  return typeof schema === "string" && schema !== "public" ? `${schema}.${node.relname}` : String(node.relname);
}

function fieldNames(column: Node): string[] {
  const fields = Array.isArray(column.fields) ? (column.fields as Node[]) : [];
  return fields.map((field) => stringOf(field) ?? "*");
}

function lastName(names: unknown): string {
  return Array.isArray(names) ? (stringOf(names.at(-1) as Node) ?? "") : "";
}

function stringOf(node: Node): string | null {
  const value = (node.String as Node | undefined)?.sval;
  return typeof value === "string" ? value : null;
}
