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

/** Attributes as pairs of texts. */
export type Attributes = Array<[key: string, value: string]>;

/** The attributes within the limits. `dropped` is how many the sender has left out. */
export function limited(attributes: Attributes, dropped: number): { attributes: Attributes; cut: boolean } {
  const many = attributes.length > attributeLimit;
  const lost = dropped + Math.max(0, attributes.length - attributeLimit);
  const long = attributes.some(([key, value]) => isLong(key) || isLong(value));
  if (!many && !long && lost === 0) return { attributes, cut: false };
  const kept = attributes
    .slice(0, attributeLimit)
    .map(([key, value]): [string, string] => [shortened(key), shortened(value)]);
  if (lost > 0) kept.push([droppedAttribute, String(lost)]);
  return { attributes: kept, cut: many || long };
}

function isLong(text: string): boolean {
  // A character has at most three bytes for each of its units in UTF-16.
  return text.length * 3 > attributeBytes && Buffer.byteLength(text) > attributeBytes;
}

function shortened(text: string): string {
  if (!isLong(text)) return text;
  const bytes = Buffer.from(text);
  return bytes.toString("utf8", 0, cutAt(bytes, 0, attributeBytes));
}

/** The value of the attribute of this name, or undefined. */
export function find(attributes: Attributes, name: string): string | undefined {
  return attributes.find(([key]) => key === name)?.[1];
}
