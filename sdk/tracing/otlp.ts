// OTLP: spans as an ExportTraceServiceRequest in protobuf, written in one pass into one buffer.
import type { Attributes, AttributeValue, TraceState } from "@opentelemetry/api";
import { onWall } from "./clock.ts";
import { parentIdsOf, type RecordedSpan, type Scope, traceIdsOf } from "./span.ts";

// Field numbers and types: opentelemetry-proto 1.x, trace/v1/trace.proto and common/v1/common.proto.
// A length that is not known beforehand is written as a varint of this many bytes, padded; every parser reads it.
const lengthBytes = 4;
// Longer texts are written by the engine, shorter ones are faster byte by byte.
const longText = 64;
const two32 = 2 ** 32;
/** opentelemetry-proto SpanFlags: whether the parent is in another process is known, and whether it is. */
const hasIsRemote = 0x100;
const isRemote = 0x200;

/** Made once for a process; not for two encodings at a time. */
export class OtlpEncoder {
  readonly #resource: Uint8Array;
  readonly #names = new Map<string, Uint8Array>();
  readonly #scopes = new Map<Scope, Uint8Array>();
  #buffer = Buffer.allocUnsafeSlow(64 * 1024);
  #at = 0;
  #lastState: TraceState | undefined = undefined;
  #lastStateText = "";

  constructor(resource: Attributes) {
    this.#message(1, () => this.#attributes(1, resource));
    this.#resource = this.#taken();
  }

  encode(spans: readonly RecordedSpan[]): Uint8Array {
    const byScope = new Map<Scope, RecordedSpan[]>();
    for (const span of spans) {
      const list = byScope.get(span.scope);
      if (list) list.push(span);
      else byScope.set(span.scope, [span]);
    }
    const resourceSpans = this.#open(1);
    this.#bytes(this.#resource);
    for (const [scope, list] of byScope) {
      const scopeSpans = this.#open(2);
      this.#bytes(this.#scopeBytes(scope));
      for (const span of list) this.#span(span);
      this.#close(scopeSpans);
    }
    this.#close(resourceSpans);
    return this.#taken();
  }

  #span(span: RecordedSpan): void {
    this.#room(256);
    const start = this.#open(2);
    this.#byte(0x0a);
    this.#traceId(span);
    this.#byte(0x12);
    this.#spanId(span.span0, span.span1);
    if (span.traceState) this.#text(3, this.#stateText(span.traceState));
    const { parent } = span;
    if (parent) {
      this.#byte(0x22);
      this.#spanId(parent.span0, parent.span1);
    }
    this.#text(5, span.name);
    // The API counts kinds from 0, OTLP from 1.
    this.#room(64);
    this.#byte(0x30);
    this.#byte(span.kind + 1);
    this.#time(0x39, span.startedAt);
    this.#time(0x41, span.endedAt);
    this.#attributes(9, span.attributes);
    this.#count(10, span.droppedAttributes);
    for (const event of span.events ?? []) {
      const open = this.#open(11);
      this.#time(0x09, event.at);
      this.#text(2, event.name);
      this.#attributes(3, event.attributes);
      this.#close(open);
    }
    this.#count(12, span.droppedEvents);
    for (const link of span.links ?? []) {
      const open = this.#open(13);
      const ids = parentIdsOf(link.context);
      this.#byte(0x0a);
      this.#traceId(traceIdsOf(link.context));
      this.#byte(0x12);
      this.#spanId(ids.span0, ids.span1);
      if (link.context.traceState) this.#text(3, link.context.traceState.serialize());
      if (link.attributes) this.#attributes(4, link.attributes);
      this.#count(5, link.droppedAttributesCount ?? 0);
      this.#room(16);
      this.#byte(0x35);
      this.#fixed32((link.context.traceFlags & 0xff) | hasIsRemote | (ids.remote ? isRemote : 0));
      this.#close(open);
    }
    this.#count(14, span.droppedLinks);
    if (span.status.code !== 0) {
      const open = this.#open(15);
      if (span.status.message) this.#text(2, span.status.message);
      this.#count(3, span.status.code);
      this.#close(open);
    }
    this.#room(16);
    this.#byte(0x85);
    this.#byte(0x01);
    this.#fixed32(1 | hasIsRemote | (parent?.remote ? isRemote : 0));
    this.#close(start);
  }

  // All traces that begin here have one state, and states never change.
  #stateText(state: TraceState): string {
    if (state !== this.#lastState) {
      this.#lastState = state;
      this.#lastStateText = state.serialize();
    }
    return this.#lastStateText;
  }

  #attributes(field: number, attributes: Attributes): void {
    for (const key in attributes) {
      const value = attributes[key];
      if (value === undefined || value === null) continue;
      const name = this.#nameBytes(key);
      this.#room(name.length + 32);
      this.#byte((field << 3) | 2);
      if (typeof value === "string") this.#textAttribute(name, value);
      else {
        const open = this.#at;
        this.#at += 1;
        this.#bytes(name);
        this.#valueField(2, value);
        this.#shut(open);
      }
    }
  }

  // The lengths of a text attribute nest twice; they are known as soon as that of the text is.
  #textAttribute(name: Uint8Array, value: string): void {
    const ascii = value.length < longText && isAscii(value);
    const length = ascii ? value.length : Buffer.byteLength(value);
    const inner = 1 + sizeOf(length) + length;
    this.#room(name.length + inner + 16);
    this.#varint(name.length + 1 + sizeOf(inner) + inner);
    this.#bytes(name);
    this.#byte(0x12);
    this.#varint(inner);
    this.#byte(0x0a);
    this.#varint(length);
    this.#chars(value, length, ascii);
  }

  #valueField(field: number, value: AttributeValue | null | undefined): void {
    this.#room(32);
    this.#byte((field << 3) | 2);
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31) {
      this.#byte(1 + sizeOf(value as number));
      this.#byte(0x18);
      this.#varint(value as number);
    } else if (Number.isSafeInteger(value)) {
      const bytes = varint64(value as number);
      this.#byte(1 + bytes.length);
      this.#byte(0x18);
      for (const byte of bytes) this.#byte(byte);
    } else if (typeof value === "number") {
      this.#byte(9);
      this.#byte(0x21);
      this.#at = this.#buffer.writeDoubleLE(value, this.#at);
    } else if (typeof value === "boolean") {
      this.#byte(2);
      this.#byte(0x10);
      this.#byte(value ? 1 : 0);
    } else if (typeof value === "string") {
      const open = this.#openHere();
      this.#text(1, value);
      this.#close(open);
    } else if (Array.isArray(value)) {
      const open = this.#openHere();
      this.#message(5, () => {
        for (const item of value) this.#valueField(1, item as AttributeValue);
      });
      this.#close(open);
    } else this.#byte(0);
  }

  // Written with one byte for the length at first; what came after moves when that is not enough.
  #shut(open: number): void {
    const length = this.#at - open - 1;
    const size = sizeOf(length);
    if (size > 1) {
      this.#room(size);
      this.#buffer.copyWithin(open + size, open + 1, this.#at);
    }
    this.#at = open;
    this.#varint(length);
    this.#at += length;
  }

  #message(field: number, content: () => void): void {
    const open = this.#open(field);
    content();
    this.#close(open);
  }

  /** Begins a nested message; answers where its length stands. */
  #open(field: number): number {
    this.#room(8);
    this.#byte((field << 3) | 2);
    return this.#openHere();
  }

  #openHere(): number {
    this.#room(8);
    const open = this.#at;
    this.#at += lengthBytes;
    return open;
  }

  #close(open: number): void {
    let length = this.#at - open - lengthBytes;
    for (let index = 0; index < lengthBytes - 1; index++) {
      this.#buffer[open + index] = (length & 0x7f) | 0x80;
      length >>>= 7;
    }
    this.#buffer[open + lengthBytes - 1] = length;
  }

  #text(field: number, value: string): void {
    const ascii = value.length < longText && isAscii(value);
    const length = ascii ? value.length : Buffer.byteLength(value);
    this.#room(length + 16);
    this.#byte((field << 3) | 2);
    this.#varint(length);
    this.#chars(value, length, ascii);
  }

  #chars(value: string, length: number, ascii: boolean): void {
    const buffer = this.#buffer;
    if (ascii) {
      let at = this.#at;
      for (let index = 0; index < length; index++) buffer[at++] = value.charCodeAt(index);
    } else buffer.write(value, this.#at, length, "utf8");
    this.#at += length;
  }

  #count(field: number, value: number): void {
    if (value === 0) return;
    this.#room(16);
    this.#byte(field << 3);
    this.#varint(value);
  }

  /** Nanoseconds since the epoch, of which a double cannot hold all: in two halves. */
  #time(tag: number, at: number): void {
    this.#room(16);
    const wall = onWall(at);
    const whole = Math.floor(wall);
    const low = (whole % two32) * 1e6 + Math.round((wall - whole) * 1e6);
    const high = Math.floor(whole / two32) * 1e6 + Math.floor(low / two32);
    this.#byte(tag);
    this.#fixed32(low % two32);
    this.#fixed32(high);
  }

  #traceId(ids: { trace0: number; trace1: number; trace2: number; trace3: number }): void {
    this.#byte(16);
    this.#bigEndian(ids.trace0);
    this.#bigEndian(ids.trace1);
    this.#bigEndian(ids.trace2);
    this.#bigEndian(ids.trace3);
  }

  #spanId(word0: number, word1: number): void {
    this.#byte(8);
    this.#bigEndian(word0);
    this.#bigEndian(word1);
  }

  #bigEndian(word: number): void {
    const buffer = this.#buffer;
    buffer[this.#at++] = word >>> 24;
    buffer[this.#at++] = word >>> 16;
    buffer[this.#at++] = word >>> 8;
    buffer[this.#at++] = word;
  }

  #fixed32(value: number): void {
    const buffer = this.#buffer;
    const word = value >>> 0;
    buffer[this.#at++] = word;
    buffer[this.#at++] = word >>> 8;
    buffer[this.#at++] = word >>> 16;
    buffer[this.#at++] = word >>> 24;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#at++] = rest;
  }

  #byte(value: number): void {
    this.#buffer[this.#at++] = value;
  }

  #bytes(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#buffer.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #room(length: number): void {
    if (this.#at + length <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + length));
    larger.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = larger;
  }

  /** What was written, as a copy; the buffer begins anew. */
  #taken(): Uint8Array {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#at));
    this.#at = 0;
    return bytes;
  }

  /** The field with the name of an attribute. Names are few. */
  #nameBytes(name: string): Uint8Array {
    let bytes = this.#names.get(name);
    if (!bytes) {
      const text = Buffer.from(name);
      bytes = Buffer.concat([Buffer.from([0x0a, ...varintOf(text.length)]), text]);
      if (this.#names.size >= 2_000) this.#names.clear();
      this.#names.set(name, bytes);
    }
    return bytes;
  }

  #scopeBytes(scope: Scope): Uint8Array {
    let bytes = this.#scopes.get(scope);
    if (!bytes) {
      const parts = [textField(1, scope.name), ...(scope.version === "" ? [] : [textField(2, scope.version)])];
      const body = Buffer.concat(parts);
      bytes = Buffer.concat([Buffer.from([0x0a, ...varintOf(body.length)]), body]);
      this.#scopes.set(scope, bytes);
    }
    return bytes;
  }
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** Bytes of a varint below 2^31. */
function sizeOf(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}

function varintOf(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  return [...bytes, rest];
}

/** An int64; protobuf extends the sign of a negative one to all 64 bits. */
function varint64(value: number): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}

function textField(field: number, value: string): Buffer {
  const text = Buffer.from(value);
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...varintOf(text.length)]), text]);
}
