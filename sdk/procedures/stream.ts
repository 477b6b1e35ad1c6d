// Stream: an output contract of many items over time; the handler is an async generator, and each item is checked.
import { z } from "zod";
import { checkContract } from "./contract.ts";

/** The contract of an async iterable of `S`. */
export type Stream<S extends z.ZodType> = z.ZodPipe<
  z.ZodCustom<AsyncIterable<z.input<S>>, AsyncIterable<z.input<S>>>,
  z.ZodTransform<AsyncIterable<z.output<S>>, AsyncIterable<z.input<S>>>
>;

/** By definition and not by schema: `.meta()` and `.describe()` make another schema of the same definition. */
const items = new WeakMap<object, z.ZodType>();

/**
 * An output that comes item by item. Iterating throws `invalid_output` at the first item that does not fit. Over HTTP it
 * is served as server-sent events or as one JSON per line, and the typed client gives an AsyncIterable.
 *
 * @example
 * export const countDown = procedure({
 *   name: "countDown",
 *   input: z.object({ from: z.int() }),
 *   output: stream(z.object({ left: z.int() })),
 *   handler: async function* ({ from }, ctx) {
 *     for (let left = from; left >= 0 && !ctx.signal.aborted; left--) yield { left };
 *   },
 * });
 */
export function stream<S extends z.ZodType>(item: S): Stream<S> {
  const schema = z
    .custom<AsyncIterable<z.input<S>>>(isAsyncIterable, "expected an async iterable, such as an async generator gives")
    .transform((source) => checkedItems(item, source));
  items.set(schema._zod.def, item);
  return schema;
}

/** The contract of an item, or undefined for a contract that `stream` did not make. */
export function itemOf(schema: z.ZodType): z.ZodType | undefined {
  return items.get(schema._zod.def);
}

async function* checkedItems<S extends z.ZodType>(
  item: S,
  source: AsyncIterable<z.input<S>>,
): AsyncGenerator<z.output<S>, void> {
  let index = 0;
  for await (const value of source) {
    yield await checkContract(item, value, `item ${index++} of the stream`, "invalid_output");
  }
}

function isAsyncIterable(value: unknown): boolean {
  return typeof (value as AsyncIterable<unknown> | null)?.[Symbol.asyncIterator] === "function";
}
