// OTLP traces in protobuf, straight to rows: one pass, no objects for each span.
import { adjustedCount } from "./adjusted-count.ts";
import { cutWarning } from "./attribute-limits.ts";
import { ProtobufCursor } from "./protobuf.ts";
import { type Bounds, columnsOf, ProtobufColumns, push, take, takeResource } from "./protobuf-columns.ts";
import { RowBinary } from "./row-binary.ts";
import { operationOf, type SpanObserver } from "./span-observer.ts";
import { type EncodedRows, spanKinds, statusCodes, type Tenant, type TimeBounds } from "./tables.ts";

/**
 * Encodes an ExportTraceServiceRequest. A span without valid ids or with a time out of bounds is refused and counted; a
 * body that is not protobuf throws `MalformedProtobuf` and nothing of it is kept. An observer is told of every row.
 */
export function encodeProtobufSpans(
  body: Uint8Array,
  tenant: Tenant,
  bounds: TimeBounds,
  observer?: SpanObserver,
): EncodedRows {
  const encoder = new SpanEncoder(body, tenant, bounds, observer);
  const request = new ProtobufCursor(body);
  while (request.next()) {
    if (request.field === 1) {
      request.range();
      encoder.resourceSpans(request.inside());
    } else request.skip();
  }
  return encoder.finish();
}

/** Bounds of the fields of one span; kept and reused, so that a span costs no allocation. */
class SpanFields {
  traceId: Bounds = [0, 0];
  spanId: Bounds = [0, 0];
  parentSpanId: Bounds = [0, 0];
  traceState: Bounds = [0, 0];
  name: Bounds = [0, 0];
  statusMessage: Bounds = [0, 0];
  kind = 0;
  statusCode = 0;
  /** How many the sender has left out. */
  droppedAttributes = 0;
  start = 0n;
  end = 0n;
  /** Pairs of bounds; as far as `attributesLength`, because a list that is emptied gives its memory back. */
  readonly attributes: number[] = [];
  attributesLength = 0;
  events: number[] = [];
  links: number[] = [];

  clear(): void {
    this.traceId[0] = this.traceId[1] = 0;
    this.spanId[0] = this.spanId[1] = 0;
    this.parentSpanId[0] = this.parentSpanId[1] = 0;
    this.traceState[0] = this.traceState[1] = 0;
    this.name[0] = this.name[1] = 0;
    this.statusMessage[0] = this.statusMessage[1] = 0;
    this.kind = 0;
    this.statusCode = 0;
    this.droppedAttributes = 0;
    this.start = 0n;
    this.end = 0n;
    this.attributesLength = 0;
    if (this.events.length > 0) this.events = [];
    if (this.links.length > 0) this.links = [];
  }
}

class SpanEncoder {
  readonly #body: Uint8Array;
  readonly #bounds: TimeBounds;
  readonly #out: RowBinary;
  readonly #columns: ProtobufColumns;
  readonly #fields = new SpanFields();
  readonly #spanCursor: ProtobufCursor;
  readonly #statusCursor: ProtobufCursor;
  readonly #tenant: Uint8Array;
  readonly #observer: SpanObserver | undefined;
  #service = "";
  /** Columns that are equal for all spans of a resource or a scope, encoded once. */
  #resource: Uint8Array = new Uint8Array();
  #scope: Uint8Array = new Uint8Array();
  #deployment: Uint8Array = new Uint8Array();
  /** The trace state of the span before, which most often is that of the next one, and what it means. */
  #counted: { state: Buffer; count: number } = { state: Buffer.alloc(0), count: 1 };
  #accepted = 0;
  #rejected = 0;
  #reason = "";

  constructor(body: Uint8Array, tenant: Tenant, bounds: TimeBounds, observer: SpanObserver | undefined) {
    this.#body = body;
    this.#observer = observer;
    this.#bounds = bounds;
    this.#columns = new ProtobufColumns(body);
    this.#spanCursor = this.#columns.whole.inside(0, 0);
    this.#statusCursor = this.#columns.whole.inside(0, 0);
    this.#out = new RowBinary(Math.max(4096, body.length * 3));
    this.#tenant = columnsOf((out) => {
      out.text(tenant.organizationId);
      out.text(tenant.project);
      out.text(tenant.environment);
    });
  }

  finish(): EncodedRows {
    return {
      rows: this.#out.bytes(),
      accepted: this.#accepted,
      rejected: this.#rejected,
      reason: this.#reason || (this.#columns.cut ? cutWarning : ""),
    };
  }

  resourceSpans(cursor: ProtobufCursor): void {
    const scopes: number[] = [];
    const attributes: number[] = [];
    let dropped = 0;
    // The resource may stand after the spans.
    while (cursor.next()) {
      if (cursor.field === 1) dropped = takeResource(cursor, attributes, dropped);
      else if (cursor.field === 2) push(cursor, scopes);
      else cursor.skip();
    }
    this.#takeResource(attributes, dropped);
    for (let i = 0; i < scopes.length; i += 2) this.#scopeSpans(this.#columns.whole.inside(scopes[i], scopes[i + 1]));
  }

  #takeResource(attributes: number[], dropped: number): void {
    const service = this.#columns.find(attributes, "service.name") ?? "unknown_service";
    this.#service = service;
    const deployment = this.#columns.find(attributes, "tsdev.deployment") ?? "";
    this.#resource = columnsOf((out) => {
      out.text(service);
      this.#columns.map(out, attributes, dropped);
    });
    this.#deployment = columnsOf((out) => out.text(deployment));
  }

  #scopeSpans(cursor: ProtobufCursor): void {
    const spans: number[] = [];
    let [name, version] = ["", ""];
    while (cursor.next()) {
      if (cursor.field === 1) {
        cursor.range();
        const scope = cursor.inside();
        while (scope.next()) {
          if (scope.field === 1 || scope.field === 2) {
            scope.range();
            if (scope.field === 1) name = scope.text();
            else version = scope.text();
          } else scope.skip();
        }
      } else if (cursor.field === 2) {
        cursor.range();
        spans.push(cursor.start, cursor.end);
      } else cursor.skip();
    }
    this.#scope = columnsOf((out) => {
      out.text(name);
      out.text(version);
    });
    for (let i = 0; i < spans.length; i += 2) this.#span(this.#spanCursor.enter(spans[i]!, spans[i + 1]!));
  }

  #span(cursor: ProtobufCursor): void {
    const span = this.#fields;
    span.clear();
    while (cursor.next()) {
      switch (cursor.field) {
        case 1:
          take(cursor, span.traceId);
          break;
        case 2:
          take(cursor, span.spanId);
          break;
        case 3:
          take(cursor, span.traceState);
          break;
        case 4:
          take(cursor, span.parentSpanId);
          break;
        case 5:
          take(cursor, span.name);
          break;
        case 6:
          span.kind = cursor.varint();
          break;
        case 7:
          span.start = cursor.fixed64();
          break;
        case 8:
          span.end = cursor.fixed64();
          break;
        case 9:
          cursor.range();
          span.attributes[span.attributesLength++] = cursor.start;
          span.attributes[span.attributesLength++] = cursor.end;
          break;
        case 10:
          span.droppedAttributes = cursor.varint();
          break;
        case 11:
          push(cursor, span.events);
          break;
        case 13:
          push(cursor, span.links);
          break;
        case 15:
          cursor.range();
          this.#status(this.#statusCursor.enter(cursor.start, cursor.end));
          break;
        default:
          cursor.skip();
      }
    }
    const problem = this.#problem(span);
    if (problem === null) this.#write(span);
    else {
      this.#rejected++;
      this.#reason ||= problem;
    }
  }

  #status(cursor: ProtobufCursor): void {
    while (cursor.next()) {
      if (cursor.field === 2) take(cursor, this.#fields.statusMessage);
      else if (cursor.field === 3) this.#fields.statusCode = cursor.varint();
      else cursor.skip();
    }
  }

  #problem(span: SpanFields): string | null {
    if (!this.#columns.isId(span.traceId, 16)) return "a trace id is not 16 bytes with one that is not zero";
    if (!this.#columns.isId(span.spanId, 8)) return "a span id is not 8 bytes with one that is not zero";
    if (span.start < this.#bounds.from || span.start > this.#bounds.to) {
      return "a span's start is older than what is kept, or ahead of the clock by more than a day";
    }
    return null;
  }

  #write(span: SpanFields): void {
    const [out, body] = [this.#out, this.#body];
    out.int64(span.start);
    out.hexFrom(body, span.traceId[0], span.traceId[1]);
    out.hexFrom(body, span.spanId[0], span.spanId[1]);
    // A parent of zeros is how some senders say "none".
    this.#columns.id(out, span.parentSpanId, 8);
    out.textFrom(body, span.traceState[0], span.traceState[1]);
    out.textFrom(body, span.name[0], span.name[1]);
    out.text(spanKinds[span.kind] ?? spanKinds[0]);
    out.raw(this.#resource);
    out.raw(this.#scope);
    this.#columns.map(out, span.attributes, span.droppedAttributes, span.attributesLength);
    out.int64(span.end > span.start ? span.end - span.start : 0n);
    out.text(statusCodes[span.statusCode] ?? statusCodes[0]);
    out.textFrom(body, span.statusMessage[0], span.statusMessage[1]);
    this.#events(span.events);
    this.#links(span.links);
    out.raw(this.#tenant);
    out.raw(this.#deployment);
    out.uint16(this.#bounds.retentionDays);
    out.float64(this.#adjustedCount(span.traceState));
    this.#accepted++;
    if (this.#observer !== undefined) this.#observe(span, this.#observer);
  }

  #observe(span: SpanFields, observer: SpanObserver): void {
    const kind = spanKinds[span.kind] ?? spanKinds[0];
    const name = Buffer.from(this.#body.subarray(span.name[0], span.name[1])).toString();
    observer.span({
      end: this.#out.mark(),
      traceId: Buffer.from(this.#body.subarray(span.traceId[0], span.traceId[1])).toString("hex"),
      isRoot: !this.#columns.isId(span.parentSpanId, 8),
      kind,
      failed: statusCodes[span.statusCode] === "Error",
      durationMs: span.end > span.start ? Number(span.end - span.start) / 1e6 : 0,
      service: this.#service,
      operation: operationOf(kind, name, (key) => this.#columns.find(span.attributes, key, span.attributesLength)),
    });
  }

  #adjustedCount([start, end]: [number, number]): number {
    if (start === end) return 1;
    const state = Buffer.from(this.#body.buffer, this.#body.byteOffset + start, end - start);
    if (!state.equals(this.#counted.state)) this.#counted = { state, count: adjustedCount(state.toString("latin1")) };
    return this.#counted.count;
  }

  #events(events: number[]): void {
    const out = this.#out;
    if (events.length === 0) {
      for (let i = 0; i < 3; i++) out.varint(0);
      return;
    }
    const read = pairs(events).map(([start, end]) => {
      const cursor = this.#columns.whole.inside(start, end);
      const event = { time: 0n, name: [0, 0] as Bounds, attributes: [] as number[], dropped: 0 };
      while (cursor.next()) {
        if (cursor.field === 1) event.time = cursor.fixed64();
        else if (cursor.field === 2) take(cursor, event.name);
        else if (cursor.field === 3) push(cursor, event.attributes);
        else if (cursor.field === 4) event.dropped = cursor.varint();
        else cursor.skip();
      }
      return event;
    });
    out.varint(read.length);
    for (const event of read) out.int64(BigInt.asIntN(64, event.time));
    out.varint(read.length);
    for (const event of read) out.textFrom(this.#body, event.name[0], event.name[1]);
    out.varint(read.length);
    for (const event of read) this.#columns.map(out, event.attributes, event.dropped);
  }

  #links(links: number[]): void {
    const out = this.#out;
    if (links.length === 0) {
      for (let i = 0; i < 4; i++) out.varint(0);
      return;
    }
    const read = pairs(links).map(([start, end]) => {
      const cursor = this.#columns.whole.inside(start, end);
      const link = {
        traceId: [0, 0] as Bounds,
        spanId: [0, 0] as Bounds,
        traceState: [0, 0] as Bounds,
        attributes: [] as number[],
        dropped: 0,
      };
      while (cursor.next()) {
        if (cursor.field === 1) take(cursor, link.traceId);
        else if (cursor.field === 2) take(cursor, link.spanId);
        else if (cursor.field === 3) take(cursor, link.traceState);
        else if (cursor.field === 4) push(cursor, link.attributes);
        else if (cursor.field === 5) link.dropped = cursor.varint();
        else cursor.skip();
      }
      return link;
    });
    out.varint(read.length);
    for (const link of read) this.#columns.id(out, link.traceId, 16);
    out.varint(read.length);
    for (const link of read) this.#columns.id(out, link.spanId, 8);
    out.varint(read.length);
    for (const link of read) out.textFrom(this.#body, link.traceState[0], link.traceState[1]);
    out.varint(read.length);
    for (const link of read) this.#columns.map(out, link.attributes, link.dropped);
  }
}

function pairs(bounds: number[]): Array<[number, number]> {
  return Array.from({ length: bounds.length / 2 }, (_, i) => [bounds[2 * i]!, bounds[2 * i + 1]!]);
}
