// Fixture: reads rows of RowBinary back by the types of their table's columns, and takes nothing that is not one.
import { columns, type IngestTable } from "./tables.ts";

/** All rows of the buffer. Throws where a byte is left over or missing, and where a text is not UTF-8. */
export function readRows(table: IngestTable, rows: Buffer): Array<Record<string, unknown>> {
  const reader = new Reader(rows);
  const read: Array<Record<string, unknown>> = [];
  while (!reader.atEnd()) {
    read.push(Object.fromEntries(columns[table].map(([name, type]) => [name, reader.value(type)])));
  }
  return read;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  value(type: string): unknown {
    const array = /^Array\((.*)\)$/.exec(type);
    if (array) return Array.from({ length: this.#length() }, () => this.value(array[1]!));
    if (type === "Map(String, String)") {
      return Array.from({ length: this.#length() }, () => [this.value("String"), this.value("String")]);
    }
    if (type === "String") {
      const length = this.#length();
      return decoder.decode(this.#take(length));
    }
    if (type.startsWith("DateTime64")) return this.#take(8).readBigInt64LE();
    switch (type) {
      case "UInt64":
        return this.#take(8).readBigUInt64LE();
      case "Float64":
        return this.#take(8).readDoubleLE();
      case "UInt32":
        return this.#take(4).readUInt32LE();
      case "Int32":
        return this.#take(4).readInt32LE();
      case "UInt16":
        return this.#take(2).readUInt16LE();
      case "UInt8":
        return this.#take(1)[0];
      case "Bool": {
        const byte = this.#take(1)[0]!;
        if (byte > 1) throw new Error(`a truth of ${byte}`);
        return byte === 1;
      }
      default:
        throw new Error(`no such type: ${type}`);
    }
  }

  #length(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#take(1)[0]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  #take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new Error(`the rows end within a value at byte ${this.#at}`);
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}
