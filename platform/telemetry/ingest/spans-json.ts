// OTLP traces in JSON to rows.
import { adjustedCount } from "./adjusted-count.ts";
import { isObject } from "./any-value.ts";
import { cutWarning } from "./attribute-limits.ts";
import {
  type Fields,
  findAttribute,
  items,
  jsonEnum,
  jsonId,
  jsonUint64,
  object,
  objects,
  text,
  writeAttributes,
} from "./json-fields.ts";
import { columnsOf } from "./protobuf-columns.ts";
import { RowBinary } from "./row-binary.ts";
import { operationOf, type SpanObserver } from "./span-observer.ts";
import { type EncodedRows, spanKinds, statusCodes, type Tenant, type TimeBounds } from "./tables.ts";

/**
 * Encodes a parsed ExportTraceServiceRequest. Unknown and missing fields are fine; a span without valid ids or with a
 * time out of bounds is refused and counted. Throws where a list is none. An observer is told of every row.
 */
export function encodeJsonSpans(
  request: Fields,
  tenant: Tenant,
  bounds: TimeBounds,
  observer?: SpanObserver,
): EncodedRows {
  const encoder = new SpanEncoder(bounds, observer);
  for (const resourceSpans of objects(request, "resourceSpans")) {
    const resource = object(resourceSpans.resource);
    encoder.takeResource(resource, tenant);
    for (const scopeSpans of objects(resourceSpans, "scopeSpans")) {
      encoder.takeScope(object(scopeSpans.scope));
      for (const span of items(scopeSpans, "spans")) encoder.span(span);
    }
  }
  return encoder.finish();
}

class SpanEncoder {
  readonly #out = new RowBinary();
  readonly #bounds: TimeBounds;
  readonly #observer: SpanObserver | undefined;
  #service = "";
  /** Columns that are equal for all spans of a resource or a scope, encoded once. */
  #resource: Uint8Array = new Uint8Array();
  #scope: Uint8Array = new Uint8Array();
  #owner: Uint8Array = new Uint8Array();
  #accepted = 0;
  #rejected = 0;
  #reason = "";
  #cut = false;

  constructor(bounds: TimeBounds, observer: SpanObserver | undefined) {
    this.#bounds = bounds;
    this.#observer = observer;
  }

  finish(): EncodedRows {
    return {
      rows: this.#out.bytes(),
      accepted: this.#accepted,
      rejected: this.#rejected,
      reason: this.#reason || (this.#cut ? cutWarning : ""),
    };
  }

  takeResource(resource: Fields, tenant: Tenant): void {
    this.#service = findAttribute(resource.attributes, "service.name") ?? "unknown_service";
    this.#resource = columnsOf((out) => {
      out.text(this.#service);
      this.#attributes(out, resource);
    });
    this.#owner = columnsOf((out) => {
      out.text(tenant.organizationId);
      out.text(tenant.project);
      out.text(tenant.environment);
      out.text(findAttribute(resource.attributes, "tsdev.deployment") ?? "");
      out.uint16(this.#bounds.retentionDays);
    });
  }

  takeScope(scope: Fields): void {
    this.#scope = columnsOf((out) => {
      out.text(text(scope.name));
      out.text(text(scope.version));
    });
  }

  span(span: unknown): void {
    const mark = this.#out.mark();
    const problem = isObject(span) ? this.#write(span) : "a span is not an object";
    if (problem === null) this.#accepted++;
    else {
      this.#out.rewind(mark);
      this.#rejected++;
      this.#reason ||= problem;
    }
  }

  #write(span: Fields): string | null {
    const traceId = jsonId(span.traceId, 16);
    const spanId = jsonId(span.spanId, 8);
    const start = jsonUint64(span.startTimeUnixNano);
    const end = jsonUint64(span.endTimeUnixNano);
    if (traceId === null) return "a trace id is not 32 hexadecimal digits with one that is not zero";
    if (spanId === null) return "a span id is not 16 hexadecimal digits with one that is not zero";
    if (start < this.#bounds.from || start > this.#bounds.to) {
      return "a span's start is older than what is kept, or ahead of the clock by more than a day";
    }
    const out = this.#out;
    const traceState = text(span.traceState);
    const status = object(span.status);
    out.int64(start);
    out.text(traceId);
    out.text(spanId);
    const parentSpanId = jsonId(span.parentSpanId, 8);
    out.text(parentSpanId ?? "");
    out.text(traceState);
    const name = text(span.name);
    out.text(name);
    const kind = spanKinds[jsonEnum(span.kind, "SPAN_KIND_", spanKinds)] ?? spanKinds[0];
    out.text(kind);
    out.raw(this.#resource);
    out.raw(this.#scope);
    this.#attributes(out, span);
    out.int64(end > start ? end - start : 0n);
    const code = statusCodes[jsonEnum(status.code, "STATUS_CODE_", statusCodes)] ?? statusCodes[0];
    out.text(code);
    out.text(text(status.message));
    const events = objects(span, "events");
    writeArray(out, events, (event) => out.int64(jsonUint64(event.timeUnixNano)));
    writeArray(out, events, (event) => out.text(text(event.name)));
    writeArray(out, events, (event) => this.#attributes(out, event));
    const links = objects(span, "links");
    writeArray(out, links, (link) => out.text(jsonId(link.traceId, 16) ?? ""));
    writeArray(out, links, (link) => out.text(jsonId(link.spanId, 8) ?? ""));
    writeArray(out, links, (link) => out.text(text(link.traceState)));
    writeArray(out, links, (link) => this.#attributes(out, link));
    out.raw(this.#owner);
    out.float64(adjustedCount(traceState));
    this.#observer?.span({
      end: out.mark(),
      traceId,
      isRoot: parentSpanId === null,
      kind,
      failed: code === "Error",
      durationMs: end > start ? Number(end - start) / 1e6 : 0,
      service: this.#service,
      operation: operationOf(kind, name, (key) => findAttribute(span.attributes, key)),
    });
    return null;
  }

  #attributes(out: RowBinary, of: Fields): void {
    if (writeAttributes(out, of.attributes, of.droppedAttributesCount)) this.#cut = true;
  }
}

function writeArray<T>(out: RowBinary, list: T[], write: (item: T) => void): void {
  out.varint(list.length);
  for (const item of list) write(item);
}
