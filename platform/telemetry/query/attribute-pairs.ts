// Attribute filters: `key=value` pairs as an input gives them, and as a condition in SQL with its values.
import { z } from "zod";
import type { QueryParams } from "../reader.ts";

const Pair = z
  .string()
  .max(600)
  .regex(/^[^=]+=/, "an attribute filter is key=value");

export const AttributePairs = z
  .array(Pair)
  .max(8)
  .meta({ description: "each of these holds: key=value, such as http.request.method=GET" });

/** Of a column of attributes and of those of the resource. */
export function attributeCondition(
  column: "SpanAttributes" | "LogAttributes",
  pairs: readonly string[],
  params: QueryParams,
): string[] {
  return pairs.map((pair, index) => {
    params[`attributeKey${index}`] = pair.slice(0, pair.indexOf("="));
    params[`attributeValue${index}`] = pair.slice(pair.indexOf("=") + 1);
    const [key, value] = [`{attributeKey${index}:String}`, `{attributeValue${index}:String}`];
    return `(mapContains(${column}, ${key}) AND ${column}[${key}] = ${value}
      OR mapContains(ResourceAttributes, ${key}) AND ResourceAttributes[${key}] = ${value})`;
  });
}
