// OTLP metrics in JSON to rows.
import {
  type Fields,
  findAttribute,
  jsonDouble,
  jsonEnum,
  jsonId,
  jsonInt32,
  jsonUint32,
  jsonUint64,
  object,
  objects,
  text,
  writeAttributes,
} from "./json-fields.ts";
import {
  type EncodedMetrics,
  type MetricKind,
  MetricRows,
  metricTables,
  type Problem,
  problems,
} from "./metrics-rows.ts";
import { columnsOf } from "./protobuf-columns.ts";
import type { RowBinary } from "./row-binary.ts";
import type { Tenant, TimeBounds } from "./tables.ts";

const kinds = Object.keys(metricTables) as MetricKind[];
const temporalities = ["UNSPECIFIED", "DELTA", "CUMULATIVE"];

/**
 * Encodes a parsed ExportMetricsServiceRequest. A point from a time that is not kept is refused and counted, and so is a
 * metric of no known kind, as one. Throws where a list is none.
 */
export function encodeJsonMetrics(request: Fields, tenant: Tenant, bounds: TimeBounds): EncodedMetrics {
  const rows = new MetricRows(tenant, bounds);
  const attributes = (out: RowBinary, value: unknown, dropped?: unknown) => {
    if (writeAttributes(out, value, dropped)) rows.cut = true;
  };
  for (const resourceMetrics of objects(request, "resourceMetrics")) {
    const resource = object(resourceMetrics.resource);
    const service = findAttribute(resource.attributes, "service.name") ?? "unknown_service";
    const deployment = findAttribute(resource.attributes, "tsdev.deployment") ?? "";
    for (const scopeMetrics of objects(resourceMetrics, "scopeMetrics")) {
      const scope = object(scopeMetrics.scope);
      const place = columnsOf((out) => {
        attributes(out, resource.attributes, resource.droppedAttributesCount);
        out.text(text(resourceMetrics.schemaUrl));
        out.text(text(scope.name));
        out.text(text(scope.version));
        attributes(out, scope.attributes);
        out.int32(jsonUint32(scope.droppedAttributesCount));
        out.text(text(scopeMetrics.schemaUrl));
        out.text(service);
      });
      for (const metric of objects(scopeMetrics, "metrics")) {
        const kind = kinds.find((one) => metric[one] !== undefined && metric[one] !== null);
        if (kind === undefined) {
          rows.reject(problems.kind);
          continue;
        }
        const about = columnsOf((out) => {
          out.raw(place);
          out.text(text(metric.name));
          out.text(text(metric.description));
          out.text(text(metric.unit));
        });
        const data = object(metric[kind]);
        for (const point of objects(data, "dataPoints")) {
          rows.point(kind, (out) => {
            const time = jsonUint64(point.timeUnixNano);
            if (!rows.isKept(time)) return problems.time;
            out.raw(about);
            attributes(out, point.attributes);
            out.int64(jsonUint64(point.startTimeUnixNano));
            out.int64(time);
            const problem = writeOwnColumns[kind](out, point, data, attributes);
            if (problem === null) rows.owner(out, deployment);
            return problem;
          });
        }
      }
    }
  }
  return rows.finish();
}

type WriteAttributes = (out: RowBinary, value: unknown) => void;

/** The columns that a kind has after those of every point, in the order of its table. */
const writeOwnColumns: Record<
  MetricKind,
  (out: RowBinary, point: Fields, data: Fields, attributes: WriteAttributes) => Problem
> = {
  gauge(out, point, _data, attributes) {
    out.float64(numberOf(point));
    out.int32(jsonUint32(point.flags));
    writeExemplars(out, point, attributes);
    return null;
  },
  sum(out, point, data, attributes) {
    this.gauge(out, point, data, attributes);
    out.int32(temporalityOf(data));
    out.uint8(data.isMonotonic === true ? 1 : 0);
    return null;
  },
  histogram(out, point, data, attributes) {
    const [counts, bounds] = [numbers(point.bucketCounts), numbers(point.explicitBounds)];
    if (counts.length > 0 && counts.length !== bounds.length + 1) return problems.buckets;
    out.int64(jsonUint64(point.count));
    out.float64(jsonDouble(point.sum));
    writeCounts(out, counts);
    writeDoubles(out, bounds);
    writeExemplars(out, point, attributes);
    writeExtent(out, point, data);
    return null;
  },
  exponentialHistogram(out, point, data, attributes) {
    out.int64(jsonUint64(point.count));
    out.float64(jsonDouble(point.sum));
    out.int32(jsonInt32(point.scale));
    out.int64(jsonUint64(point.zeroCount));
    for (const buckets of [object(point.positive), object(point.negative)]) {
      out.int32(jsonInt32(buckets.offset));
      writeCounts(out, numbers(buckets.bucketCounts));
    }
    writeExemplars(out, point, attributes);
    writeExtent(out, point, data);
    return null;
  },
  summary(out, point) {
    out.int64(jsonUint64(point.count));
    out.float64(jsonDouble(point.sum));
    const quantiles = objects(point, "quantileValues");
    writeDoubles(
      out,
      quantiles.map(({ quantile }) => quantile),
    );
    writeDoubles(
      out,
      quantiles.map(({ value }) => value),
    );
    out.int32(jsonUint32(point.flags));
    return null;
  },
};

function writeExtent(out: RowBinary, point: Fields, data: Fields): void {
  out.int32(jsonUint32(point.flags));
  out.float64(jsonDouble(point.min));
  out.float64(jsonDouble(point.max));
  out.int32(temporalityOf(data));
}

function temporalityOf(data: Fields): number {
  return jsonEnum(data.aggregationTemporality, "AGGREGATION_TEMPORALITY_", temporalities);
}

/** The value of a number's point or of an exemplar; 0 where there is none, as the Collector's exporter has it. */
function numberOf(point: Fields): number {
  return jsonDouble(point.asInt ?? point.asDouble);
}

function numbers(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function writeCounts(out: RowBinary, counts: unknown[]): void {
  out.varint(counts.length);
  for (const count of counts) out.int64(jsonUint64(count));
}

function writeDoubles(out: RowBinary, values: unknown[]): void {
  out.varint(values.length);
  for (const value of values) out.float64(jsonDouble(value));
}

function writeExemplars(out: RowBinary, point: Fields, attributes: WriteAttributes): void {
  const exemplars = objects(point, "exemplars");
  out.varint(exemplars.length);
  for (const { filteredAttributes } of exemplars) attributes(out, filteredAttributes);
  out.varint(exemplars.length);
  for (const { timeUnixNano } of exemplars) out.int64(jsonUint64(timeUnixNano));
  out.varint(exemplars.length);
  for (const exemplar of exemplars) out.float64(numberOf(exemplar));
  out.varint(exemplars.length);
  for (const { spanId } of exemplars) out.text(jsonId(spanId, 8) ?? "");
  out.varint(exemplars.length);
  for (const { traceId } of exemplars) out.text(jsonId(traceId, 16) ?? "");
}
