// Log records: OTLP in protobuf or JSON, and process output, as one shape and its rows.
import { isObject, jsonValueText, list, protobufValueText } from "./any-value.ts";
import { type Attributes, cutWarning, find, limited } from "./attribute-limits.ts";
import { type Fields, jsonEnum, jsonId, jsonUint32, jsonUint64, object, objects, text } from "./json-fields.ts";
import { ProtobufCursor } from "./protobuf.ts";
import { RowBinary } from "./row-binary.ts";
import type { EncodedRows, Tenant, TimeBounds } from "./tables.ts";

/** What made a record: the instrumentation's name, and what is known of it. */
export interface LogScope {
  name: string;
  version: string;
  attributes: Attributes;
  schemaUrl: string;
}

/** Of a record that no instrumentation made. */
export const noScope: LogScope = { name: "", version: "", attributes: [], schemaUrl: "" };

/** One log record as it is stored. */
export interface LogRow {
  /** Nanoseconds since the epoch. */
  time: bigint;
  traceId: string;
  spanId: string;
  flags: number;
  severityText: string;
  /** 1 to 24 as OTLP has it, 0 where it is not known. */
  severityNumber: number;
  service: string;
  body: string;
  resource: Attributes;
  resourceSchemaUrl: string;
  scope: LogScope;
  attributes: Attributes;
  /** What happened, where the record is an event; otherwise empty. */
  eventName: string;
  tenant: Tenant;
  deployment: string;
  /** True where attributes were cut because they passed a limit. */
  cut?: boolean;
}

/** Encodes records of tenants that keep their logs for so many days. */
export function encodeLogs(rows: LogRow[], retentionDays: number | ((tenant: Tenant) => number)): Buffer {
  const daysOf = typeof retentionDays === "number" ? () => retentionDays : retentionDays;
  const out = new RowBinary(Math.max(4096, rows.length * 256));
  for (const row of rows) {
    out.int64(row.time);
    out.text(row.traceId);
    out.text(row.spanId);
    out.uint8(row.flags & 0xff);
    out.text(row.severityText);
    out.uint8(row.severityNumber);
    out.text(row.service);
    out.text(row.body);
    out.text(row.resourceSchemaUrl);
    writeMap(out, row.resource);
    out.text(row.scope.schemaUrl);
    out.text(row.scope.name);
    out.text(row.scope.version);
    writeMap(out, row.scope.attributes);
    writeMap(out, row.attributes);
    out.text(row.eventName);
    out.text(row.tenant.organizationId);
    out.text(row.tenant.project);
    out.text(row.tenant.environment);
    out.text(row.deployment);
    out.uint16(daysOf(row.tenant));
  }
  return out.bytes();
}

/** The record's own fields, before tenant and resource are known. */
type OwnFields = Omit<LogRow, "service" | "resource" | "resourceSchemaUrl" | "scope" | "tenant" | "deployment">;

/** A resource's attributes and the address of their schema. */
type Origin = { attributes: Attributes; cut: boolean; schemaUrl: string };

/** Reads an ExportLogsServiceRequest in protobuf. Throws `MalformedProtobuf`. */
export function readProtobufLogs(body: Uint8Array, tenant: Tenant): LogRow[] {
  const rows: LogRow[] = [];
  for (const resourceLogs of messages(new ProtobufCursor(body), 1)) {
    const parts = split(resourceLogs, 1, 2);
    const resource = { ...protobufResource(parts.head), schemaUrl: parts.schemaUrl };
    for (const scopeLogs of parts.rest) {
      const scoped = split(scopeLogs, 1, 2);
      const scope = protobufScope(scoped.head, scoped.schemaUrl);
      for (const record of scoped.rest) rows.push(withPlace(protobufRecord(record), resource, scope, tenant));
    }
  }
  return rows;
}

/** Reads a parsed ExportLogsServiceRequest in JSON. Throws where a list is none. */
export function readJsonLogs(request: Fields, tenant: Tenant): LogRow[] {
  const rows: LogRow[] = [];
  for (const resourceLogs of objects(request, "resourceLogs")) {
    const resource = { ...jsonAttributes(object(resourceLogs.resource)), schemaUrl: text(resourceLogs.schemaUrl) };
    for (const scopeLogs of objects(resourceLogs, "scopeLogs")) {
      const scope = jsonScope(scopeLogs);
      for (const record of objects(scopeLogs, "logRecords")) {
        rows.push(withPlace(jsonRecord(record), resource, scope, tenant));
      }
    }
  }
  return rows;
}

/** Splits off records whose time is out of bounds; a record without any time gets the present one. */
export function withinBounds(rows: LogRow[], bounds: TimeBounds): { kept: LogRow[] } & Omit<EncodedRows, "rows"> {
  const now = BigInt(Date.now()) * 1_000_000n;
  const kept = rows.filter((row) => {
    if (row.time === 0n) row.time = now;
    return row.time >= bounds.from && row.time <= bounds.to;
  });
  const rejected = rows.length - kept.length;
  return {
    kept,
    accepted: kept.length,
    rejected,
    reason:
      rejected > 0
        ? "a record is older than what is kept, or ahead of the clock by more than a day"
        : kept.some(({ cut }) => cut)
          ? cutWarning
          : "",
  };
}

function withPlace(own: OwnFields, origin: Origin, scope: LogScope, tenant: Tenant): LogRow {
  const resource = origin.attributes;
  return {
    ...own,
    service: find(resource, "service.name") ?? "unknown_service",
    resource,
    resourceSchemaUrl: origin.schemaUrl,
    scope,
    tenant,
    deployment: find(resource, "tsdev.deployment") ?? "",
    cut: own.cut === true || origin.cut,
  };
}

function writeMap(out: RowBinary, attributes: Attributes): void {
  out.varint(attributes.length);
  for (const [key, value] of attributes) {
    out.text(key);
    out.text(value);
  }
}

/** The attributes of a resource, scope or record. */
function jsonAttributes(of: Fields): { attributes: Attributes; cut: boolean } {
  const all = list(of.attributes)
    .filter(isObject)
    .map(({ key, value }): [string, string] => [text(key), jsonValueText(value)]);
  return limited(all, jsonUint32(of.droppedAttributesCount));
}

function jsonScope(scopeLogs: Fields): LogScope {
  const scope = object(scopeLogs.scope);
  return {
    name: text(scope.name),
    version: text(scope.version),
    attributes: jsonAttributes(scope).attributes,
    schemaUrl: text(scopeLogs.schemaUrl),
  };
}

function protobufResource(cursor: ProtobufCursor | null): { attributes: Attributes; cut: boolean } {
  const attributes: Attributes = [];
  let dropped = 0;
  while (cursor?.next()) {
    if (cursor.field === 1) {
      cursor.range();
      attributes.push(protobufAttribute(cursor.inside()));
    } else if (cursor.field === 2) dropped = cursor.varint();
    else cursor.skip();
  }
  return limited(attributes, dropped);
}

function protobufScope(cursor: ProtobufCursor | null, schemaUrl: string): LogScope {
  const scope: LogScope = { ...noScope, attributes: [], schemaUrl };
  let dropped = 0;
  while (cursor?.next()) {
    if (cursor.field === 1) scope.name = taken(cursor);
    else if (cursor.field === 2) scope.version = taken(cursor);
    else if (cursor.field === 3) {
      cursor.range();
      scope.attributes.push(protobufAttribute(cursor.inside()));
    } else if (cursor.field === 4) dropped = cursor.varint();
    else cursor.skip();
  }
  scope.attributes = limited(scope.attributes, dropped).attributes;
  return scope;
}

function protobufRecord(cursor: ProtobufCursor): OwnFields {
  const own = emptyRecord();
  let observed = 0n;
  let dropped = 0;
  while (cursor.next()) {
    if (cursor.field === 1) own.time = cursor.fixed64();
    else if (cursor.field === 2) own.severityNumber = severityInRange(cursor.varint());
    else if (cursor.field === 3) own.severityText = taken(cursor);
    else if (cursor.field === 5) {
      cursor.range();
      own.body = protobufValueText(cursor.inside());
    } else if (cursor.field === 6) {
      cursor.range();
      own.attributes.push(protobufAttribute(cursor.inside()));
    } else if (cursor.field === 7) dropped = cursor.varint();
    else if (cursor.field === 8) own.flags = cursor.fixed32();
    else if (cursor.field === 9) own.traceId = takenId(cursor, 16);
    else if (cursor.field === 10) own.spanId = takenId(cursor, 8);
    else if (cursor.field === 11) observed = cursor.fixed64();
    else if (cursor.field === 12) own.eventName = taken(cursor);
    else cursor.skip();
  }
  own.time ||= observed;
  return { ...own, ...limited(own.attributes, dropped) };
}

function jsonRecord(record: Fields): OwnFields {
  return {
    time: jsonUint64(record.timeUnixNano) || jsonUint64(record.observedTimeUnixNano),
    traceId: jsonId(record.traceId, 16) ?? "",
    spanId: jsonId(record.spanId, 8) ?? "",
    flags: jsonUint32(record.flags),
    severityText: text(record.severityText),
    severityNumber: severityInRange(jsonEnum(record.severityNumber, "SEVERITY_NUMBER_", severityNames)),
    body: jsonValueText(record.body),
    eventName: text(record.eventName),
    ...jsonAttributes(record),
  };
}

/** The names of OTLP's severity numbers: TRACE, TRACE2, TRACE3, TRACE4, DEBUG and so on. */
const severityNames = [
  "UNSPECIFIED",
  ...["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"].flatMap((name) => [name, `${name}2`, `${name}3`, `${name}4`]),
];

function emptyRecord(): OwnFields {
  return {
    time: 0n,
    traceId: "",
    spanId: "",
    flags: 0,
    severityText: "",
    severityNumber: 0,
    body: "",
    attributes: [],
    eventName: "",
  };
}

function severityInRange(value: number): number {
  return Number.isInteger(value) && value >= 0 && value <= 24 ? value : 0;
}

/** Cursors over every message of one field. */
function messages(cursor: ProtobufCursor, field: number): ProtobufCursor[] {
  return split(cursor, -1, field).rest;
}

/** The message of one field (the last, as protobuf has it), those of another, and the schema URL, which is field 3. */
function split(
  cursor: ProtobufCursor,
  one: number,
  many: number,
): { head: ProtobufCursor | null; rest: ProtobufCursor[]; schemaUrl: string } {
  let head: ProtobufCursor | null = null;
  let schemaUrl = "";
  const rest: ProtobufCursor[] = [];
  while (cursor.next()) {
    if (cursor.field !== one && cursor.field !== many) {
      if (cursor.field === 3 && one > 0) schemaUrl = taken(cursor);
      else cursor.skip();
      continue;
    }
    cursor.range();
    if (cursor.field === one) head = cursor.inside();
    else rest.push(cursor.inside());
  }
  return { head, rest, schemaUrl };
}

function protobufAttribute(cursor: ProtobufCursor): [string, string] {
  let [key, value] = ["", ""];
  while (cursor.next()) {
    if (cursor.field === 1) key = taken(cursor);
    else if (cursor.field === 2) {
      cursor.range();
      value = protobufValueText(cursor.inside());
    } else cursor.skip();
  }
  return [key, value];
}

function taken(cursor: ProtobufCursor): string {
  cursor.range();
  return cursor.text();
}

function takenId(cursor: ProtobufCursor, length: number): string {
  cursor.range();
  if (cursor.end - cursor.start !== length) return "";
  const hex = Buffer.from(cursor.bytes.subarray(cursor.start, cursor.end)).toString("hex");
  return /^0+$/.test(hex) ? "" : hex;
}
