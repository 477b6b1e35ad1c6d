// What the encoders of protobuf share: attributes, ids and lists at known bounds of a body, as columns of a row.
import { protobufValueText } from "./any-value.ts";
import { attributeBytes, attributeLimit, cutAt, droppedAttribute } from "./attribute-limits.ts";
import { ProtobufCursor } from "./protobuf.ts";
import { RowBinary } from "./row-binary.ts";

/** Where something stands in the body: its first byte and the one after its last. */
export type Bounds = [start: number, end: number];

/** Reads and copies parts of one body. Lists of bounds are flat: start, end, start, end. */
export class ProtobufColumns {
  readonly body: Uint8Array;
  readonly whole: ProtobufCursor;
  /** True once something was cut because it passed a limit. */
  cut = false;

  constructor(body: Uint8Array) {
    this.body = body;
    this.whole = new ProtobufCursor(body);
  }

  /**
   * KeyValues as a Map column. `dropped` is how many the sender has left out; `length` says how much of the list counts.
   */
  map(out: RowBinary, attributes: readonly number[], dropped = 0, length = attributes.length): void {
    const all = length / 2;
    const kept = Math.min(all, attributeLimit);
    const lost = dropped + all - kept;
    if (kept < all) this.cut = true;
    out.varint(lost > 0 ? kept + 1 : kept);
    for (let i = 0; i < kept * 2; i += 2) {
      const [start, end] = [attributes[i]!, attributes[i + 1]!];
      if (this.#usualAttribute(out, start, end)) continue;
      const cursor = this.whole.inside(start, end);
      let [keyStart, keyEnd, valueStart, valueEnd] = [0, 0, 0, 0];
      while (cursor.next()) {
        if (cursor.field > 2) {
          cursor.skip();
          continue;
        }
        cursor.range();
        if (cursor.field === 1) [keyStart, keyEnd] = [cursor.start, cursor.end];
        else [valueStart, valueEnd] = [cursor.start, cursor.end];
      }
      this.#limitedText(out, keyStart, keyEnd);
      this.#value(out, valueStart, valueEnd);
    }
    if (lost > 0) {
      out.text(droppedAttribute);
      out.text(String(lost));
    }
  }

  /**
   * Writes an attribute that is encoded as all senders do: the key, then the value, each of fewer than 128 bytes and
   * nothing else. False where it is not, and nothing is written.
   */
  #usualAttribute(out: RowBinary, start: number, end: number): boolean {
    const { body } = this;
    const keyStart = start + 2;
    const keyEnd = keyStart + body[start + 1]!;
    const valueStart = keyEnd + 2;
    if (valueStart > end || body[start] !== 0x0a || body[start + 1]! > 0x7f || body[keyEnd] !== 0x12) return false;
    if (body[keyEnd + 1]! > 0x7f || valueStart + body[keyEnd + 1]! !== end) return false;
    out.textFrom(body, keyStart, keyEnd);
    const textStart = valueStart + 2;
    // A text (field 1, wire type 2) is copied. A length of more than one byte would have the highest bit and not fit here.
    if (textStart <= end && body[valueStart] === 0x0a && textStart + body[valueStart + 1]! === end) {
      out.textFrom(body, textStart, end);
    } else this.#value(out, valueStart, end);
    return true;
  }

  #value(out: RowBinary, start: number, end: number): void {
    // A text value (field 1, wire type 2) is the usual case and is copied.
    if (end > start && this.body[start] === 0x0a) {
      const cursor = this.whole.inside(start, end);
      cursor.next();
      cursor.range();
      if (cursor.end === end) {
        this.#limitedText(out, cursor.start, cursor.end);
        return;
      }
    }
    if (out.limitedText(protobufValueText(this.whole.inside(start, end)), attributeBytes)) this.cut = true;
  }

  #limitedText(out: RowBinary, start: number, end: number): void {
    if (end - start <= attributeBytes) out.textFrom(this.body, start, end);
    else {
      this.cut = true;
      out.textFrom(this.body, start, cutAt(this.body, start, attributeBytes));
    }
  }

  /** The text of the attribute of this name, or undefined. */
  find(attributes: readonly number[], name: string, length = attributes.length): string | undefined {
    for (let i = 0; i < length; i += 2) {
      const cursor = this.whole.inside(attributes[i], attributes[i + 1]);
      let [key, value] = ["", ""];
      while (cursor.next()) {
        if (cursor.field > 2) {
          cursor.skip();
          continue;
        }
        cursor.range();
        if (cursor.field === 1) key = cursor.text();
        else if (cursor.field === 2) value = protobufValueText(cursor.inside());
      }
      if (key === name) return value;
    }
    return undefined;
  }

  text(out: RowBinary, bounds: Bounds): void {
    out.textFrom(this.body, bounds[0], bounds[1]);
  }

  /** An id in hexadecimal; one that is none, or of zeros, is an empty text. */
  id(out: RowBinary, bounds: Bounds, length: number): void {
    if (this.isId(bounds, length)) out.hexFrom(this.body, bounds[0], bounds[1]);
    else out.varint(0);
  }

  isId([start, end]: Bounds, length: number): boolean {
    if (end - start !== length) return false;
    for (let i = start; i < end; i++) if (this.body[i] !== 0) return true;
    return false;
  }
}

/** Columns that are equal for many rows, encoded once. */
export function columnsOf(write: (out: RowBinary) => void): Uint8Array {
  const out = new RowBinary(1024);
  write(out);
  return out.bytes();
}

export function take(cursor: ProtobufCursor, bounds: Bounds): void {
  cursor.range();
  bounds[0] = cursor.start;
  bounds[1] = cursor.end;
}

export function push(cursor: ProtobufCursor, bounds: number[]): void {
  cursor.range();
  bounds.push(cursor.start, cursor.end);
}

/** Collects the attributes of a Resource, and tells how many its sender had left out; `before` where it does not say. */
export function takeResource(cursor: ProtobufCursor, attributes: number[], before: number): number {
  cursor.range();
  const resource = cursor.inside();
  let dropped = before;
  while (resource.next()) {
    if (resource.field === 1) push(resource, attributes);
    else if (resource.field === 2) dropped = resource.varint();
    else resource.skip();
  }
  return dropped;
}
