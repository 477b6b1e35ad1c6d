// RowBinary: writes rows in ClickHouse's binary row format into one growing buffer.
import { isUtf8 } from "node:buffer";
import { cutAt } from "./attribute-limits.ts";
import { giveBack, takeBuffer } from "./row-buffers.ts";

/** The lower case hexadecimal digits as character codes. */
const hexDigits = Buffer.from("0123456789abcdef", "latin1");

/**
 * Longest text that is copied byte by byte; longer ones are copied and checked by native code. Its length fits one byte.
 */
const shortText = 96;

/**
 * Most bytes of one request's rows. A request repeats its resource in every row: one of 20 MiB could grow to terabytes.
 */
const rowsLimit = 128 * 1024 * 1024;

/** A request whose rows pass the limit; nothing of it is kept. */
export class TooManyRowBytes extends Error {
  override name = "TooManyRowBytes";

  constructor() {
    super(`the rows of the request are larger than ${rowsLimit / 1024 / 1024} MiB; send smaller batches`);
  }
}

/**
 * A row is the concatenation of its columns; a text is its length as a varint and its bytes. Whoever writes calls the
 * methods in the order of the table's columns. `mark` and `rewind` take back a row that turned out to be wrong.
 */
export class RowBinary {
  #buffer: Buffer;
  #view: DataView;
  #length = 0;

  constructor(capacity = 64 * 1024) {
    this.#buffer = takeBuffer(capacity);
    this.#view = new DataView(this.#buffer.buffer);
  }

  /** The bytes written so far; valid until the next write, and until they are given back. */
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
    if (needed > rowsLimit) throw new TooManyRowBytes();
    const larger = takeBuffer(Math.max(needed, Math.min(this.#buffer.length * 2, rowsLimit)));
    this.#buffer.copy(larger, 0, 0, this.#length);
    giveBack(this.#buffer);
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

  uint16(value: number): void {
    this.#room(2);
    this.#view.setUint16(this.#length, value, true);
    this.#length += 2;
  }

  /** An integer of 32 bits, with or without a sign. */
  int32(value: number): void {
    this.#room(4);
    this.#view.setInt32(this.#length, value, true);
    this.#length += 4;
  }

  float64(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#length, value, true);
    this.#length += 8;
  }

  /** An integer of 64 bits, with or without a sign. */
  int64(value: bigint): void {
    this.#room(8);
    this.#view.setBigInt64(this.#length, value, true);
    this.#length += 8;
  }

  text(value: string): void {
    const characters = value.length;
    if (characters <= shortText) {
      // One byte for the length, then one for each character as long as they are ASCII.
      this.#room(characters + 1);
      const target = this.#buffer;
      let at = this.#length;
      target[at++] = characters;
      let i = 0;
      for (; i < characters; i++) {
        const code = value.charCodeAt(i);
        if (code > 0x7f) break;
        target[at++] = code;
      }
      if (i === characters) {
        this.#length = at;
        return;
      }
    }
    // Lone surrogates become U+FFFD here.
    const length = Buffer.byteLength(value);
    this.varint(length);
    this.#room(length);
    this.#buffer.write(value, this.#length, length, "utf8");
    this.#length += length;
  }

  /** A text of which at most so many bytes are kept; true where it was cut. */
  limitedText(value: string, limit: number): boolean {
    // A character has at most three bytes for each of its units in UTF-16.
    if (value.length * 3 <= limit || Buffer.byteLength(value) <= limit) {
      this.text(value);
      return false;
    }
    const bytes = Buffer.from(value);
    const end = cutAt(bytes, 0, limit);
    this.varint(end);
    this.raw(bytes.subarray(0, end));
    return true;
  }

  /** UTF-8 text out of another buffer; bytes that are not UTF-8 become U+FFFD. */
  textFrom(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.#room(length + 5);
    if (length <= shortText) {
      const target = this.#buffer;
      let at = this.#length;
      target[at++] = length;
      let high = 0;
      for (let i = start; i < end; i++) {
        const byte = source[i]!;
        high |= byte;
        target[at++] = byte;
      }
      if (high < 0x80) {
        this.#length = at;
        return;
      }
    }
    const text = source.subarray(start, end);
    if (isUtf8(text)) {
      this.varint(length);
      this.raw(text);
    } else this.text(new TextDecoder().decode(text));
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
