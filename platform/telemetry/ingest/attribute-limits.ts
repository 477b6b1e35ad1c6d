// How many attributes are kept of one thing and how long their texts may be, and how it is told what was cut.

/** Most attributes of one resource, scope, span, event, link, record, data point or exemplar. SDKs have 128 by default. */
export const attributeLimit = 1_024;

/** Most bytes of an attribute's key or value, in UTF-8. */
export const attributeBytes = 128 * 1024;

/**
 * The attribute that says how many others were left out, by the sender or here
 * (https://opentelemetry.io/docs/specs/otel/common/mapping-to-non-otlp/#dropped-attributes-count).
 */
export const droppedAttribute = "otel.dropped_attributes_count";

/** Told to the sender as a warning; nothing is rejected for it. */
export const cutWarning = `of more than ${attributeLimit} attributes the rest was cut and counted in ${droppedAttribute}; texts of more than ${attributeBytes / 1024} KiB were cut`;

/** Where a text of at most `limit` bytes ends that does not break a character of UTF-8. */
export function cutAt(bytes: Uint8Array, start: number, limit: number): number {
  let end = start + limit;
  while (end > start && (bytes[end]! & 0xc0) === 0x80) end--;
  return end;
}
