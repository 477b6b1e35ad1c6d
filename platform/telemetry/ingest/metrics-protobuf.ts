// OTLP metrics in protobuf, straight to rows: one pass, no objects for each data point.
import { PointFields, readExemplar, readPoint } from "./metrics-point.ts";
import { type EncodedMetrics, type MetricKind, MetricRows, type Problem, problems } from "./metrics-rows.ts";
import { ProtobufCursor } from "./protobuf.ts";
import { type Bounds, columnsOf, ProtobufColumns, push, take, takeResource } from "./protobuf-columns.ts";
import type { RowBinary } from "./row-binary.ts";
import type { Tenant, TimeBounds } from "./tables.ts";

/**
 * Encodes an ExportMetricsServiceRequest. A point from a time that is not kept is refused and counted, and so is a metric
 * of no known kind, as one; a body that is not protobuf throws `MalformedProtobuf` and nothing of it is kept.
 */
export function encodeProtobufMetrics(body: Uint8Array, tenant: Tenant, bounds: TimeBounds): EncodedMetrics {
  const encoder = new MetricEncoder(body, tenant, bounds);
  const request = new ProtobufCursor(body);
  while (request.next()) {
    if (request.field === 1) {
      request.range();
      encoder.resourceMetrics(request.inside());
    } else request.skip();
  }
  return encoder.finish();
}

/** Kinds by their field of Metric. */
const kinds: Record<number, MetricKind> = {
  5: "gauge",
  7: "sum",
  9: "histogram",
  10: "exponentialHistogram",
  11: "summary",
};

class MetricEncoder {
  readonly #columns: ProtobufColumns;
  readonly #rows: MetricRows;
  readonly #point = new PointFields();
  /** Columns that are equal for all points of a resource, of a scope, and of a metric, encoded once. */
  #resource: Uint8Array = new Uint8Array();
  #scope: Uint8Array = new Uint8Array();
  #service = "";
  #deployment = "";
  #metric: Uint8Array = new Uint8Array();

  constructor(body: Uint8Array, tenant: Tenant, bounds: TimeBounds) {
    this.#columns = new ProtobufColumns(body);
    this.#rows = new MetricRows(tenant, bounds);
  }

  finish(): EncodedMetrics {
    this.#rows.cut = this.#columns.cut;
    return this.#rows.finish();
  }

  resourceMetrics(cursor: ProtobufCursor): void {
    const [scopes, attributes, schemaUrl]: [number[], number[], Bounds] = [[], [], [0, 0]];
    let dropped = 0;
    // The resource may stand after the metrics.
    while (cursor.next()) {
      if (cursor.field === 1) dropped = takeResource(cursor, attributes, dropped);
      else if (cursor.field === 2) push(cursor, scopes);
      else if (cursor.field === 3) take(cursor, schemaUrl);
      else cursor.skip();
    }
    this.#service = this.#columns.find(attributes, "service.name") ?? "unknown_service";
    this.#deployment = this.#columns.find(attributes, "tsdev.deployment") ?? "";
    this.#resource = columnsOf((out) => {
      this.#columns.map(out, attributes, dropped);
      this.#columns.text(out, schemaUrl);
    });
    for (let i = 0; i < scopes.length; i += 2) this.#scopeMetrics(this.#columns.whole.inside(scopes[i], scopes[i + 1]));
  }

  #scopeMetrics(cursor: ProtobufCursor): void {
    const metrics: number[] = [];
    const [name, version, schemaUrl]: [Bounds, Bounds, Bounds] = [
      [0, 0],
      [0, 0],
      [0, 0],
    ];
    const attributes: number[] = [];
    let dropped = 0;
    while (cursor.next()) {
      if (cursor.field === 1) {
        cursor.range();
        const scope = cursor.inside();
        while (scope.next()) {
          if (scope.field === 1) take(scope, name);
          else if (scope.field === 2) take(scope, version);
          else if (scope.field === 3) push(scope, attributes);
          else if (scope.field === 4) dropped = scope.varint();
          else scope.skip();
        }
      } else if (cursor.field === 2) push(cursor, metrics);
      else if (cursor.field === 3) take(cursor, schemaUrl);
      else cursor.skip();
    }
    this.#scope = columnsOf((out) => {
      this.#columns.text(out, name);
      this.#columns.text(out, version);
      this.#columns.map(out, attributes);
      out.int32(dropped);
      this.#columns.text(out, schemaUrl);
      out.text(this.#service);
    });
    for (let i = 0; i < metrics.length; i += 2) this.#oneMetric(this.#columns.whole.inside(metrics[i], metrics[i + 1]));
  }

  #oneMetric(cursor: ProtobufCursor): void {
    const [name, description, unit, data]: [Bounds, Bounds, Bounds, Bounds] = [
      [0, 0],
      [0, 0],
      [0, 0],
      [0, 0],
    ];
    let kind: MetricKind | undefined;
    while (cursor.next()) {
      if (cursor.field === 1) take(cursor, name);
      else if (cursor.field === 2) take(cursor, description);
      else if (cursor.field === 3) take(cursor, unit);
      else if (kinds[cursor.field] !== undefined) {
        kind = kinds[cursor.field];
        take(cursor, data);
      } else cursor.skip();
    }
    if (kind === undefined) {
      this.#rows.reject(problems.kind);
      return;
    }
    this.#metric = columnsOf((out) => {
      out.raw(this.#resource);
      out.raw(this.#scope);
      this.#columns.text(out, name);
      this.#columns.text(out, description);
      this.#columns.text(out, unit);
    });
    this.#data(kind, this.#columns.whole.inside(data[0], data[1]));
  }

  #data(kind: MetricKind, cursor: ProtobufCursor): void {
    const points: number[] = [];
    let [temporality, monotonic] = [0, 0];
    while (cursor.next()) {
      if (cursor.field === 1) push(cursor, points);
      else if (cursor.field === 2 && kind !== "gauge" && kind !== "summary") temporality = cursor.varint();
      else if (cursor.field === 3 && kind === "sum") monotonic = cursor.varint() === 0 ? 0 : 1;
      else cursor.skip();
    }
    for (let i = 0; i < points.length; i += 2) {
      const inside = this.#columns.whole.inside(points[i], points[i + 1]);
      this.#point.clear();
      readPoint[kind](inside, this.#point);
      this.#rows.point(kind, (out) => this.#write(out, kind, temporality, monotonic));
    }
  }

  #write(out: RowBinary, kind: MetricKind, temporality: number, monotonic: number): Problem {
    const point = this.#point;
    if (!this.#rows.isKept(point.time)) return problems.time;
    out.raw(this.#metric);
    this.#columns.map(out, point.attributes);
    out.int64(point.start);
    out.int64(point.time);
    if (kind === "gauge" || kind === "sum") {
      out.float64(point.value);
      out.int32(point.flags);
      this.#exemplars(out, point.exemplars);
      if (kind === "sum") {
        out.int32(temporality);
        out.uint8(monotonic);
      }
    } else {
      out.int64(point.count);
      out.float64(point.sum);
      if (kind === "histogram") {
        const counts = length64(point.bucketCounts);
        if (counts > 0 && counts !== length64(point.explicitBounds) + 1) return problems.buckets;
        this.#list64(out, point.bucketCounts);
        this.#list64(out, point.explicitBounds);
      } else if (kind === "exponentialHistogram") {
        out.int32(point.scale);
        out.int64(point.zeroCount);
        this.#buckets(out, point.positive);
        this.#buckets(out, point.negative);
      } else this.#quantiles(out, point.quantiles);
      if (kind !== "summary") this.#exemplars(out, point.exemplars);
      out.int32(point.flags);
      if (kind !== "summary") {
        out.float64(point.min);
        out.float64(point.max);
        out.int32(temporality);
      }
    }
    this.#rows.owner(out, this.#deployment);
    return null;
  }

  /** Both protobuf and RowBinary have them in little-endian order. */
  #list64(out: RowBinary, bounds: number[]): void {
    out.varint(length64(bounds));
    for (let i = 0; i < bounds.length; i += 2) out.raw(this.#columns.body.subarray(bounds[i], bounds[i + 1]));
  }

  #buckets(out: RowBinary, [start, end]: Bounds): void {
    const cursor = this.#columns.whole.inside(start, end);
    const counts: bigint[] = [];
    let offset = 0;
    while (cursor.next()) {
      if (cursor.field === 1) offset = cursor.zigzag();
      else if (cursor.field === 2 && cursor.wire === 2) {
        cursor.range();
        const packed = cursor.inside();
        while (packed.more()) counts.push(packed.bigVarint());
      } else if (cursor.field === 2) counts.push(cursor.bigVarint());
      else cursor.skip();
    }
    out.int32(offset);
    out.varint(counts.length);
    for (const count of counts) out.int64(count);
  }

  #quantiles(out: RowBinary, bounds: number[]): void {
    const values: number[] = [];
    out.varint(bounds.length / 2);
    for (let i = 0; i < bounds.length; i += 2) {
      const cursor = this.#columns.whole.inside(bounds[i], bounds[i + 1]);
      let [quantile, value] = [0, 0];
      while (cursor.next()) {
        if (cursor.field === 1) quantile = cursor.double();
        else if (cursor.field === 2) value = cursor.double();
        else cursor.skip();
      }
      out.float64(quantile);
      values.push(value);
    }
    out.varint(values.length);
    for (const value of values) out.float64(value);
  }

  #exemplars(out: RowBinary, bounds: number[]): void {
    if (bounds.length === 0) {
      for (let i = 0; i < 5; i++) out.varint(0);
      return;
    }
    const exemplars = Array.from({ length: bounds.length / 2 }, (_, i) =>
      readExemplar(this.#columns.whole.inside(bounds[2 * i], bounds[2 * i + 1])),
    );
    out.varint(exemplars.length);
    for (const { attributes } of exemplars) this.#columns.map(out, attributes);
    out.varint(exemplars.length);
    for (const { time } of exemplars) out.int64(time);
    out.varint(exemplars.length);
    for (const { value } of exemplars) out.float64(value);
    out.varint(exemplars.length);
    for (const { spanId } of exemplars) this.#columns.id(out, spanId, 8);
    out.varint(exemplars.length);
    for (const { traceId } of exemplars) this.#columns.id(out, traceId, 16);
  }
}

/** How many numbers of 64 bits stand within the bounds. */
function length64(bounds: number[]): number {
  let bytes = 0;
  for (let i = 0; i < bounds.length; i += 2) bytes += bounds[i + 1]! - bounds[i]!;
  return bytes / 8;
}
