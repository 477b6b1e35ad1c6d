// Protobuf on the wire: a cursor over one message, without a schema and without copying.

/** A body that is not protobuf; the message says where it breaks. */
export class MalformedProtobuf extends Error {
  override name = "MalformedProtobuf";
}

/**
 * Reads fields one after another: while `next()` is true, `field` and `wire` say what stands there, and exactly one of
 * `range`, `varint`, `bigVarint`, `fixed64`, `fixed32` or `skip` takes it. A length that passes the message's end throws.
 */
export class ProtobufCursor {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  field = 0;
  wire = 0;
  /** Bounds of what `range` took last. */
  start = 0;
  end = 0;
  #at: number;
  #limit: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length, view?: DataView) {
    this.bytes = bytes;
    this.#at = start;
    this.#limit = end;
    this.#view = view ?? new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** A cursor over the message inside the bounds that `range` took. */
  inside(start = this.start, end = this.end): ProtobufCursor {
    return new ProtobufCursor(this.bytes, start, end, this.#view);
  }

  /** Begins anew at the message inside these bounds: one cursor for many messages costs no memory. */
  enter(start: number, end: number): this {
    this.#at = start;
    this.#limit = end;
    return this;
  }

  next(): boolean {
    if (this.#at >= this.#limit) return false;
    const tag = this.varint();
    this.field = tag >>> 3;
    this.wire = tag & 7;
    if (this.field === 0) throw new MalformedProtobuf(`field number 0 at byte ${this.#at}`);
    return true;
  }

  /** Takes a length-delimited field and sets `start` and `end`. */
  range(): void {
    if (this.wire !== 2) throw new MalformedProtobuf(`field ${this.field} has wire type ${this.wire}, expected 2`);
    const length = this.varint();
    this.start = this.#at;
    this.end = this.#at + length;
    if (this.end > this.#limit) throw new MalformedProtobuf(`field ${this.field} passes the end at byte ${this.#at}`);
    this.#at = this.end;
  }

  /** A varint as a number; bits past the 32nd are dropped. */
  varint(): number {
    const first = this.bytes[this.#at]!;
    if (first < 0x80 && this.#at < this.#limit) {
      this.#at++;
      return first;
    }
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#limit) throw new MalformedProtobuf("ends within a number");
      const byte = this.bytes[this.#at++]!;
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    throw new MalformedProtobuf(`a number of more than 10 bytes at byte ${this.#at}`);
  }

  /** A varint as a signed 64-bit integer. */
  bigVarint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.#at >= this.#limit) throw new MalformedProtobuf("ends within a number");
      const byte = this.bytes[this.#at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
    throw new MalformedProtobuf(`a number of more than 10 bytes at byte ${this.#at}`);
  }

  /** Takes a field of 64 bits, or a packed list of such, and sets `start` and `end`. */
  range64(): void {
    if (this.wire === 2) {
      this.range();
      if ((this.end - this.start) % 8 !== 0) {
        throw new MalformedProtobuf(`field ${this.field} is no list of 64-bit numbers at byte ${this.#at}`);
      }
    } else {
      this.start = this.#take(8, 1);
      this.end = this.#at;
    }
  }

  /** A list's number that stands at this byte. */
  fixed64At(at: number): bigint {
    return this.#view.getBigUint64(at, true);
  }

  /** True while the message has bytes left; for packed lists, whose numbers have no tags. */
  more(): boolean {
    return this.#at < this.#limit;
  }

  fixed64(): bigint {
    return this.#view.getBigUint64(this.#take(8, 1), true);
  }

  sfixed64(): bigint {
    return this.#view.getBigInt64(this.#take(8, 1), true);
  }

  /** A `sint32`, in which small negative numbers are short. */
  zigzag(): number {
    const value = this.varint();
    return (value >>> 1) ^ -(value & 1);
  }

  double(): number {
    return this.#view.getFloat64(this.#take(8, 1), true);
  }

  fixed32(): number {
    return this.#view.getUint32(this.#take(4, 5), true);
  }

  skip(): void {
    if (this.wire === 0) this.varint();
    else if (this.wire === 1) this.#take(8, 1);
    else if (this.wire === 2) this.range();
    else if (this.wire === 5) this.#take(4, 5);
    else throw new MalformedProtobuf(`wire type ${this.wire} at byte ${this.#at}`);
  }

  #take(count: number, wire: number): number {
    if (this.wire !== wire) {
      throw new MalformedProtobuf(`field ${this.field} has wire type ${this.wire}, expected ${wire}`);
    }
    const at = this.#at;
    this.#at += count;
    if (this.#at > this.#limit) throw new MalformedProtobuf(`field ${this.field} passes the end at byte ${at}`);
    return at;
  }

  text(start = this.start, end = this.end): string {
    return decoder.decode(this.bytes.subarray(start, end));
  }
}

const decoder = new TextDecoder();

/** Writes small messages, such as the answers of OTLP. */
export function encodeFields(fields: Array<[field: number, value: number | string | Buffer]>): Buffer {
  return Buffer.concat(
    fields.flatMap(([field, value]) => {
      if (typeof value === "number") return [encodeVarint(field << 3), encodeVarint(value)];
      const bytes = typeof value === "string" ? Buffer.from(value) : value;
      return [encodeVarint((field << 3) | 2), encodeVarint(bytes.length), bytes];
    }),
  );
}

function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  return Buffer.from([...bytes, rest]);
}
