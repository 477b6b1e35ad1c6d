// batch-n-plus-one: asks once for all keys before the loop, and reads each element's rows from a Map inside it.
import { loadModule } from "libpg-query";
import MagicString from "magic-string";
import type { z } from "zod";
import type { Finding, NPlusOneEvidence } from "../../analyzers/finding.ts";
import { type BatchSql, batchSql } from "./batch-sql.ts";
import { checkKeyType } from "./key-type.ts";
import { parse } from "./module-source.ts";
import type { PatchResult, ReadSource } from "./patch.ts";
import { type QueryLoop, queryLoop } from "./query-loop.ts";
import { NotSure, patchOrDecline } from "./result.ts";
import type { Node } from "./source-file.ts";
import type { SqlTypes } from "./sql-types.ts";

/** Declines with the condition that `query-loop`, `loop-body`, `batch-sql` or `key-type` could not confirm. */
export function batchNPlusOne(
  finding: Finding,
  evidence: z.infer<typeof NPlusOneEvidence>,
  read: ReadSource,
  types: SqlTypes | undefined,
): Promise<PatchResult> {
  return patchOrDecline(finding, async () => {
    await loadModule();
    const frame =
      evidence.frames[0] ?? (finding.file === null ? undefined : { file: finding.file, line: finding.line ?? 0 });
    if (frame === undefined) throw new NotSure("no-place", "the traces do not say where the query is made");
    if (evidence.databaseSystem !== "" && evidence.databaseSystem !== "postgresql") {
      throw new NotSure("not-postgres", `batching is written for PostgreSQL, not ${evidence.databaseSystem}`);
    }
    const file = await parse(frame.file, read);
    const loop = queryLoop(file, frame.line, (text) => comparable(text) === comparable(evidence.statement));
    const line = file.lineOf(loop.call.start);
    const text = plainText(loop);
    const sql = batchSql(text, loop.parameter);
    if (types === undefined) {
      throw new NotSure("unknown-key-type", "no database was given that could tell the type of the key", line);
    }
    const described = await types(text);
    if (described === null) throw new NotSure("unknown-key-type", "the database cannot prepare the query", line);
    const keyReason = await checkKeyType(loop, described.parameters[sql.parameter - 1], types);
    const unique = described.uniqueColumns.includes(sql.column);
    if (!unique && !sql.order.some((column) => described.uniqueColumns.includes(column))) {
      const reason = `\`${sql.column}\` is not unique and no ORDER BY settles the order of the rows of one key`;
      throw new NotSure("row-order", reason, line);
    }
    const edited = new MagicString(file.text);
    const names = newNames(loop, sql);
    edited.appendLeft(beginning(loop), before(loop, sql, names, unique));
    const key = file.text.slice(loop.key.start, loop.key.end);
    const found = `${names.byKey}.get(${key}) ?? []`;
    const rows = loop.escapes ? `(${found}).map((row) => ({ ...row }))` : found;
    const kind = loop.statement.kind as string;
    const end = file.text[loop.statement.end - 1] === ";" ? ";" : "";
    const replacement = loop.bound.kind === "rows" ? rows : `{ rows: ${rows} }`;
    edited.overwrite(loop.statement.start, loop.statement.end, `${kind} ${loop.bound.name} = ${replacement}${end}`);
    return {
      file,
      edited,
      line,
      reasoning: [
        `${evidence.operation} ran this query ${evidence.repeats.median} times in a request (median); it now runs once for the whole list.`,
        `Only the comparison changed: \`= $${sql.parameter}\` became \`= ANY($${sql.parameter})\`; the query is otherwise the same text.`,
        `A Map finds the rows as Postgres would: ${keyReason}.`,
        unique
          ? `\`${sql.column}\` is unique, so that each key has one row at most; duplicates, nulls and missing rows behave as before.`
          : `The order of the rows of one key is settled by ORDER BY ${sql.order.join(", ")}; duplicates, nulls and missing rows behave as before.`,
        "The loop has no early exit, error handling, other await or call that could write between the queries.",
      ],
      risk: "The batch sees one moment of the data, where the loop saw a new one with each query; an empty list now costs one query that finds nothing; all rows are in memory at once.",
    };
  });
}

/** One spelling for the text in source and the one in traces: white space and literals do not count. */
function comparable(text: string): string {
  return text
    .replace(/\s+/g, " ")
    .replace(/'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b|\$\d+|\?(?:\.\.)?/g, "?")
    .trim()
    .toLowerCase();
}

/** The text as it stands in source; with escapes its offsets would differ from those of the SQL. */
function plainText({ text, file }: QueryLoop): string {
  const raw = file.text.slice(text.start + 1, text.end - 1);
  const value = text.type === "Literal" ? (text.value as string) : (text.quasis[0].value.cooked as string);
  if (raw.replaceAll("\r\n", "\n") !== value)
    throw new NotSure("text-escapes", "the query's text has escapes", file.lineOf(text.start));
  if (raw !== value)
    throw new NotSure("text-line-ends", "the query's text has CRLF line ends", file.lineOf(text.start));
  return value;
}

interface NewNames {
  rows: string;
  byKey: string;
}

/** Names that occur nowhere in the file, after the table. */
function newNames(loop: QueryLoop, sql: BatchSql): NewNames {
  const base = camelCase(sql.table);
  const key = camelCase(sql.output);
  const by = `By${key[0]?.toUpperCase()}${key.slice(1)}`;
  const free = (candidates: string[]) => {
    const found = candidates.find((name) => /^[A-Za-z_$][\w$]*$/.test(name) && !isName(loop, name));
    if (found === undefined) throw new NotSure("names-taken", "the names that the change would use are taken");
    return found;
  };
  return {
    rows: free([base, `${base}Rows`, `${base}Found`, `all${base[0]?.toUpperCase()}${base.slice(1)}`]),
    byKey: free([`${base}${by}`, `${base}Rows${by}`, `${base}Lookup`]),
  };
}

/** Names in code; the same word inside a string or a comment is no clash. */
function isName(loop: QueryLoop, name: string): boolean {
  if (!loop.file.words.has(name)) return false;
  return loop.file.nodes("Identifier").some((node) => node.name === name);
}

function camelCase(name: string): string {
  return name.replace(/[^A-Za-z0-9]+(.)?/g, (_, next: string | undefined) => next?.toUpperCase() ?? "");
}

/** Where the loop begins, with the comments that stand on the lines right above it. */
function beginning({ file, loop }: QueryLoop): number {
  let start = loop.start as number;
  for (const comment of file.comments.toReversed()) {
    const between = file.text.slice(comment.end, start);
    const line = file.text.slice(file.text.lastIndexOf("\n", comment.start) + 1, comment.start);
    if (comment.end > start || !/^[\t ]*\r?\n[\t ]*$/.test(between) || line.trim() !== "") continue;
    start = comment.start;
  }
  return start;
}

/** The statements before the loop, at the loop's indentation, ending where the loop begins. */
function before(loop: QueryLoop, sql: BatchSql, names: NewNames, unique: boolean): string {
  const { file } = loop;
  const indent = file.indentOf(loop.loop.start);
  const end = file.semicolons ? ";" : "";
  const next = `${end}${file.eol}${indent}`;
  const output = /^[A-Za-z_$][\w$]*$/.test(sql.output) ? `.${sql.output}` : `[${JSON.stringify(sql.output)}]`;
  const query = `const { rows: ${names.rows} } = await ${batchCall(loop, sql, names)}`;
  if (unique) {
    return `${query}${next}const ${names.byKey} = new Map(${names.rows}.map((row) => [row${output}, [row]]))${next}`;
  }
  const empty = file.typed ? `[] as typeof ${names.rows}` : "[]";
  const map = `const ${names.byKey} = new Map(${names.rows}.map((row) => [row${output}, ${empty}]))`;
  const fill = `for (const row of ${names.rows}) ${names.byKey}.get(row${output})?.push(row)`;
  return `${query}${next}${map}${next}${fill}${next}`;
}

/** The call with the new text and the list of keys, in the author's own layout where that still fits the line. */
function batchCall(loop: QueryLoop, sql: BatchSql, names: NewNames): string {
  const { file, call, text, parameters, key, item, list, property } = loop;
  const source = file.text;
  const quote = source[text.start] ?? '"';
  const keys = property === null ? list : `${list}.map((${item}) => ${source.slice(key.start, key.end)})`;
  const head = source.slice(call.start, text.start);
  const elements = (parameters.elements as Node[]).map((element) =>
    element === key ? keys : source.slice(element.start, element.end),
  );
  const literal = `${quote}${sql.text}${quote}`;
  const outer = file.indentOf(loop.loop.start);
  const line = `${head}${literal}, [${elements.join(", ")}])`;
  const prefix = `${outer}const { rows: ${names.rows} } = await `;
  if (!literal.includes("\n") && !head.includes("\n") && prefix.length + line.length + 1 <= file.width) return line;
  const { eol, indentUnit } = file;
  const inner = outer + indentUnit;
  if (
    !literal.includes("\n") &&
    !head.includes("\n") &&
    prefix.length + head.length + literal.length + 3 <= file.width
  ) {
    const listed = elements.map((element) => `${inner}${element},${eol}`).join("");
    return `${head}${literal}, [${eol}${listed}${outer}])`;
  }
  const first = `${inner}${literal},${eol}`;
  return `${head.trimEnd()}${eol}${first}${inner}[${elements.join(", ")}],${eol}${outer})`;
}
