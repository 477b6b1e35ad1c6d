// Outline: any value as short indented text; lists of alike objects become one line an entry.
import { oneLine } from "./text.ts";

const widestRow = 400;
const deepest = 6;

type Plain = Record<string, unknown>;

const isObject = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isEmpty = (value: unknown) =>
  value === null ||
  value === undefined ||
  value === "" ||
  (Array.isArray(value) && value.length === 0) ||
  (isObject(value) && Object.keys(value).length === 0);
const isFlat = (value: unknown) => typeof value !== "object" || value === null;

/** Lines for a value; what is empty is not shown. Text of several lines stays so, indented. */
export function outline(value: unknown, depth = 0): string[] {
  const indent = "  ".repeat(depth);
  if (isFlat(value)) return [`${indent}${scalar(value)}`];
  if (depth >= deepest) return [`${indent}${oneLine(JSON.stringify(value))}`];
  if (Array.isArray(value)) return value.flatMap((item) => entry(item, depth));
  return Object.entries(value as Plain)
    .filter(([, inner]) => !isEmpty(inner))
    .flatMap(([key, inner]) => field(key, inner, depth));
}

function entry(item: unknown, depth: number): string[] {
  const indent = "  ".repeat(depth);
  if (isFlat(item)) return [`${indent}- ${scalar(item)}`];
  const short = isObject(item) ? row(item) : undefined;
  if (short !== undefined) return [`${indent}- ${short}`];
  const lines = outline(item, depth + 1);
  return [`${indent}- ${lines[0]?.trimStart() ?? ""}`, ...lines.slice(1)];
}

function field(key: string, inner: unknown, depth: number): string[] {
  const indent = "  ".repeat(depth);
  if (typeof inner === "string" && inner.includes("\n")) {
    return [`${indent}${key}:`, ...inner.split("\n").map((line) => `${indent}  ${line}`)];
  }
  if (isFlat(inner)) return [`${indent}${key}: ${scalar(inner)}`];
  if (Array.isArray(inner) && inner.every(isFlat) && inner.join(", ").length < widestRow) {
    return [`${indent}${key}: ${inner.map(scalar).join(", ")}`];
  }
  return [`${indent}${key}:`, ...outline(inner, depth + 1)];
}

/** An object on one line, objects in it in brackets; undefined where that is too long or holds text of several lines. */
function row(value: Plain): string | undefined {
  const fields: string[] = [];
  for (const [key, inner] of Object.entries(value)) {
    if (isEmpty(inner)) continue;
    const text = isObject(inner) ? row(inner) : Array.isArray(inner) ? listed(inner) : scalar(inner);
    if (text === undefined || (typeof inner === "string" && inner.includes("\n"))) return undefined;
    fields.push(isObject(inner) ? `${key}=(${text})` : `${key}=${text}`);
  }
  const line = fields.join("  ");
  return line.length > widestRow ? undefined : line;
}

function listed(items: unknown[]): string | undefined {
  return items.every(isFlat) ? `[${items.map(scalar).join(", ")}]` : undefined;
}

function scalar(value: unknown): string {
  return typeof value === "number" && !Number.isInteger(value)
    ? String(Number(value.toPrecision(6)))
    : oneLine(String(value));
}
