// Jsonify: the type of a value after it went over HTTP as JSON, by the mapping of the server's `json.ts`.

/** A date arrives as its ISO 8601 text, a bigint as its digits, a map as a list of pairs, a set as a list, bytes as base64. */
export type Jsonify<T> = 0 extends 1 & T
  ? T
  : unknown extends T
    ? unknown
    : T extends string | number | boolean | null | undefined
      ? T
      : T extends Date | bigint | URL | Uint8Array
        ? string
        : T extends Blob
          ? Blob
          : T extends AsyncIterable<infer Item>
            ? AsyncIterable<Jsonify<Item>>
            : T extends ReadonlyMap<infer Key, infer Value>
              ? [Jsonify<Key>, Jsonify<Value>][]
              : T extends ReadonlySet<infer Item>
                ? Jsonify<Item>[]
                : T extends (...args: never[]) => unknown
                  ? never
                  : T extends object
                    ? { [Key in keyof T]: Jsonify<T[Key]> }
                    : never;

/** What a call answers: a whole file or bytes come as a Blob, and a stream item by item. */
export type Answered<T> = [T] extends [Blob | Uint8Array] ? Blob : Jsonify<T>;
