// OTLP traces in JSON to rows.
import { adjustedCount } from "./adjusted-count.ts";
import { isObject, jsonValueText, list } from "./any-value.ts";
import { RowBinary } from "./row-binary.ts";
import { type EncodedRows, spanKinds, statusCodes, type Tenant, type TimeBounds } from "./tables.ts";

/** A span of an OTLP/JSON request, as far as it is one. */
type Fields = Record<string, unknown>;

/**
 * Encodes a parsed ExportTraceServiceRequest. Unknown and missing fields are fine; a span without valid ids or with a
 * time out of bounds is refused and counted.
 */
export function encodeJsonSpans(request: Fields, tenant: Tenant, bounds: TimeBounds): EncodedRows {
  const out = new RowBinary();
  const result = { accepted: 0, rejected: 0, reason: "" };
  for (const resourceSpans of list(request.resourceSpans).filter(isObject)) {
    const resource = isObject(resourceSpans.resource) ? jsonAttributes(resourceSpans.resource.attributes) : [];
    for (const scopeSpans of list(resourceSpans.scopeSpans).filter(isObject)) {
      const scope = isObject(scopeSpans.scope) ? scopeSpans.scope : {};
      for (const span of list(scopeSpans.spans)) {
        const mark = out.mark();
        const problem = isObject(span)
          ? writeSpan(out, span, resource, scope, tenant, bounds)
          : "a span is not an object";
        if (problem === null) result.accepted++;
        else {
          out.rewind(mark);
          result.rejected++;
          result.reason ||= problem;
        }
      }
    }
  }
  return { rows: out.bytes(), ...result };
}

function writeSpan(
  out: RowBinary,
  span: Fields,
  resource: Attributes,
  scope: Fields,
  tenant: Tenant,
  bounds: TimeBounds,
): string | null {
  const traceId = jsonId(span.traceId, 16);
  const spanId = jsonId(span.spanId, 8);
  const start = jsonTime(span.startTimeUnixNano);
  const end = jsonTime(span.endTimeUnixNano);
  if (traceId === null) return "a trace id is not 32 hexadecimal digits with one that is not zero";
  if (spanId === null) return "a span id is not 16 hexadecimal digits with one that is not zero";
  if (start < bounds.from || start > bounds.to) {
    return "a span's start is older than what is kept, or ahead of the clock by more than a day";
  }
  const status = isObject(span.status) ? span.status : {};
  out.int64(start);
  out.text(traceId);
  out.text(spanId);
  out.text(jsonId(span.parentSpanId, 8) ?? "");
  out.text(text(span.traceState));
  out.text(text(span.name));
  out.text(spanKinds[jsonEnum(span.kind, "SPAN_KIND_", spanKinds)] ?? spanKinds[0]);
  out.text(find(resource, "service.name") ?? "unknown_service");
  writeMap(out, resource);
  out.text(text(scope.name));
  out.text(text(scope.version));
  writeMap(out, jsonAttributes(span.attributes));
  out.int64(end > start ? end - start : 0n);
  out.text(statusCodes[jsonEnum(status.code, "STATUS_CODE_", statusCodes)] ?? statusCodes[0]);
  out.text(text(status.message));
  const events = list(span.events).filter(isObject);
  writeArray(out, events, (event) => out.int64(BigInt.asIntN(64, jsonTime(event.timeUnixNano))));
  writeArray(out, events, (event) => out.text(text(event.name)));
  writeArray(out, events, (event) => writeMap(out, jsonAttributes(event.attributes)));
  const links = list(span.links).filter(isObject);
  writeArray(out, links, (link) => out.text(jsonId(link.traceId, 16) ?? ""));
  writeArray(out, links, (link) => out.text(jsonId(link.spanId, 8) ?? ""));
  writeArray(out, links, (link) => out.text(text(link.traceState)));
  writeArray(out, links, (link) => writeMap(out, jsonAttributes(link.attributes)));
  out.text(tenant.organizationId);
  out.text(tenant.project);
  out.text(tenant.environment);
  out.text(find(resource, "tsdev.deployment") ?? "");
  out.uint16(bounds.retentionDays);
  out.float64(adjustedCount(text(span.traceState)));
  return null;
}

export type Attributes = Array<[key: string, value: string]>;

/** KeyValues as pairs of texts. */
export function jsonAttributes(value: unknown): Attributes {
  return list(value)
    .filter(isObject)
    .map((attribute) => [text(attribute.key), jsonValueText(attribute.value)]);
}

export function find(attributes: Attributes, name: string): string | undefined {
  return attributes.find(([key]) => key === name)?.[1];
}

export function writeMap(out: RowBinary, attributes: Attributes): void {
  writeArray(out, attributes, ([key, value]) => {
    out.text(key);
    out.text(value);
  });
}

function writeArray<T>(out: RowBinary, items: T[], write: (item: T) => void): void {
  out.varint(items.length);
  for (const item of items) write(item);
}

/** Ids are hexadecimal in OTLP/JSON, other than in protobuf's own JSON. */
export function jsonId(value: unknown, bytes: number): string | null {
  if (typeof value !== "string" || value.length !== bytes * 2 || !/^[0-9a-fA-F]+$/.test(value)) return null;
  return /^0+$/.test(value) ? null : value.toLowerCase();
}

/** Nanoseconds as text or number; 0 where it is neither. */
export function jsonTime(value: unknown): bigint {
  if (typeof value === "string" && /^\d{1,20}$/.test(value)) return BigInt(value);
  if (typeof value === "number" && Number.isInteger(value) && value >= 0) return BigInt(value);
  return 0n;
}

/** An enum's number, or its name with the prefix. */
export function jsonEnum(value: unknown, prefix: string, names: readonly string[]): number {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || !value.startsWith(prefix)) return 0;
  const name = value.slice(prefix.length).toLowerCase();
  return Math.max(
    0,
    names.findIndex((candidate) => candidate.toLowerCase() === name),
  );
}

export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
