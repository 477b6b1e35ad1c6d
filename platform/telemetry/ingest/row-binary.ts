// RowBinary: writes rows in ClickHouse's binary row format into one growing buffer.
import { isUtf8 } from "node:buffer";

/** The lower case hexadecimal digits as character codes. */
const hexDigits = Buffer.from("0123456789abcdef", "latin1");

/** Longest text that is copied byte by byte; longer ones are copied and checked by native code. */
const shortText = 48;

/**
 * A row is the concatenation of its columns; a text is its length as a varint and its bytes. Whoever writes calls the
 * methods in the order of the table's columns. `mark` and `rewind` take back a row that turned out to be wrong.
 */
export class RowBinary {
  #buffer: Buffer;
  #view: DataView;
  #length = 0;

  constructor(capacity = 64 * 1024) {
    this.#buffer = Buffer.allocUnsafeSlow(capacity);
    this.#view = new DataView(this.#buffer.buffer);
  }

  /** The bytes written so far; valid until the next write. */
  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  mark(): number {
    return this.#length;
  }

  rewind(mark: number): void {
    this.#length = mark;
  }

  #room(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
    this.#view = new DataView(larger.buffer);
  }

  /** A length or count. */
  varint(value: number): void {
    this.#room(5);
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#length++] = rest;
  }

  uint8(value: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = value;
  }

  int64(value: bigint): void {
    this.#room(8);
    this.#view.setBigInt64(this.#length, value, true);
    this.#length += 8;
  }

  text(value: string): void {
    // Lone surrogates become U+FFFD here.
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#room(length);
    this.#buffer.write(value, this.#length, length, "utf8");
    this.#length += length;
  }

  /** UTF-8 text out of another buffer; bytes that are not UTF-8 become U+FFFD. */
  textFrom(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.varint(length);
    this.#room(length);
    let high = 0;
    if (length <= shortText) {
      const target = this.#buffer;
      let at = this.#length;
      for (let i = start; i < end; i++) {
        const byte = source[i]!;
        high |= byte;
        target[at++] = byte;
      }
    } else {
      this.#buffer.set(source.subarray(start, end), this.#length);
      high = 0x80;
    }
    if (high < 0x80 || isUtf8(source.subarray(start, end))) {
      this.#length += length;
      return;
    }
    this.#length -= varintLength(length);
    this.text(new TextDecoder().decode(source.subarray(start, end)));
  }

  /** Bytes that are columns already. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Bytes as text in lower case hexadecimal. */
  hexFrom(source: Uint8Array, start: number, end: number): void {
    const length = (end - start) * 2;
    this.varint(length);
    this.#room(length);
    for (let i = start; i < end; i++) {
      const byte = source[i]!;
      this.#buffer[this.#length++] = hexDigits[byte >> 4]!;
      this.#buffer[this.#length++] = hexDigits[byte & 15]!;
    }
  }
}

function varintLength(value: number): number {
  let length = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) length++;
  return length;
}
