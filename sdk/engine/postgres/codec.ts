// Codec: values as JSON text that come back as they were, dates, maps, sets, bigints and undefined included.
import superjson from "superjson";

/** `{"json": …}` with a `meta` where JSON alone would lose a type. */
export function encode(value: unknown): string {
  return superjson.stringify(value);
}

/** The inverse, for a column that the driver has parsed. */
export function decode(column: unknown): unknown {
  return superjson.deserialize(column as Parameters<typeof superjson.deserialize>[0]);
}
