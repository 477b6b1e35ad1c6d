// Attributes of a measurement: sets with the same members are one series, in whatever order they are given.
import type { Attributes } from "@opentelemetry/api";

/** The same text for equal sets. */
export function attributesKey(attributes: Attributes): string {
  const names = Object.keys(attributes);
  if (names.length === 0) return "";
  if (names.length > 1) names.sort();
  return JSON.stringify(names.map((name) => [name, attributes[name]]));
}
