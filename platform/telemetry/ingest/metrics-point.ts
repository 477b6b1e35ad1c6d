// The fields of a metric's data point and of an exemplar in protobuf, by kind.
import type { MetricKind } from "./metrics-rows.ts";
import type { ProtobufCursor } from "./protobuf.ts";
import { type Bounds, push, take } from "./protobuf-columns.ts";

/** The fields of any data point; kept and reused. A kind's own fields have the numbers that its reader says. */
export class PointFields {
  start = 0n;
  time = 0n;
  flags = 0;
  value = 0;
  count = 0n;
  sum = 0;
  min = 0;
  max = 0;
  scale = 0;
  zeroCount = 0n;
  /** Pairs of bounds. */
  attributes: number[] = [];
  exemplars: number[] = [];
  quantiles: number[] = [];
  /** Pairs of bounds of 64-bit numbers. */
  bucketCounts: number[] = [];
  explicitBounds: number[] = [];
  positive: Bounds = [0, 0];
  negative: Bounds = [0, 0];

  clear(): void {
    this.start = 0n;
    this.time = 0n;
    this.flags = 0;
    this.value = 0;
    this.count = 0n;
    this.sum = 0;
    this.min = 0;
    this.max = 0;
    this.scale = 0;
    this.zeroCount = 0n;
    this.attributes.length = 0;
    this.exemplars.length = 0;
    this.quantiles.length = 0;
    this.bucketCounts.length = 0;
    this.explicitBounds.length = 0;
    this.positive = [0, 0];
    this.negative = [0, 0];
  }
}

function push64(cursor: ProtobufCursor, bounds: number[]): void {
  cursor.range64();
  bounds.push(cursor.start, cursor.end);
}

/** By kind. Fields 2 and 3 are the times of every kind. */
export const readPoint: Record<MetricKind, (cursor: ProtobufCursor, point: PointFields) => void> = {
  gauge: readNumber,
  sum: readNumber,
  histogram: readHistogram,
  exponentialHistogram: readExponentialHistogram,
  summary: readSummary,
};

function readNumber(cursor: ProtobufCursor, point: PointFields): void {
  while (cursor.next()) {
    if (cursor.field === 2) point.start = cursor.fixed64();
    else if (cursor.field === 3) point.time = cursor.fixed64();
    else if (cursor.field === 4) point.value = cursor.double();
    else if (cursor.field === 5) push(cursor, point.exemplars);
    else if (cursor.field === 6) point.value = Number(cursor.sfixed64());
    else if (cursor.field === 7) push(cursor, point.attributes);
    else if (cursor.field === 8) point.flags = cursor.varint();
    else cursor.skip();
  }
}

function readHistogram(cursor: ProtobufCursor, point: PointFields): void {
  while (cursor.next()) {
    if (cursor.field === 2) point.start = cursor.fixed64();
    else if (cursor.field === 3) point.time = cursor.fixed64();
    else if (cursor.field === 4) point.count = cursor.fixed64();
    else if (cursor.field === 5) point.sum = cursor.double();
    else if (cursor.field === 6) push64(cursor, point.bucketCounts);
    else if (cursor.field === 7) push64(cursor, point.explicitBounds);
    else if (cursor.field === 8) push(cursor, point.exemplars);
    else if (cursor.field === 9) push(cursor, point.attributes);
    else if (cursor.field === 10) point.flags = cursor.varint();
    else if (cursor.field === 11) point.min = cursor.double();
    else if (cursor.field === 12) point.max = cursor.double();
    else cursor.skip();
  }
}

function readExponentialHistogram(cursor: ProtobufCursor, point: PointFields): void {
  while (cursor.next()) {
    if (cursor.field === 1) push(cursor, point.attributes);
    else if (cursor.field === 2) point.start = cursor.fixed64();
    else if (cursor.field === 3) point.time = cursor.fixed64();
    else if (cursor.field === 4) point.count = cursor.fixed64();
    else if (cursor.field === 5) point.sum = cursor.double();
    else if (cursor.field === 6) point.scale = cursor.zigzag();
    else if (cursor.field === 7) point.zeroCount = cursor.fixed64();
    else if (cursor.field === 8) take(cursor, point.positive);
    else if (cursor.field === 9) take(cursor, point.negative);
    else if (cursor.field === 10) point.flags = cursor.varint();
    else if (cursor.field === 11) push(cursor, point.exemplars);
    else if (cursor.field === 12) point.min = cursor.double();
    else if (cursor.field === 13) point.max = cursor.double();
    else cursor.skip();
  }
}

function readSummary(cursor: ProtobufCursor, point: PointFields): void {
  while (cursor.next()) {
    if (cursor.field === 2) point.start = cursor.fixed64();
    else if (cursor.field === 3) point.time = cursor.fixed64();
    else if (cursor.field === 4) point.count = cursor.fixed64();
    else if (cursor.field === 5) point.sum = cursor.double();
    else if (cursor.field === 6) push(cursor, point.quantiles);
    else if (cursor.field === 7) push(cursor, point.attributes);
    else if (cursor.field === 8) point.flags = cursor.varint();
    else cursor.skip();
  }
}

export interface ExemplarFields {
  attributes: number[];
  time: bigint;
  value: number;
  spanId: Bounds;
  traceId: Bounds;
}

export function readExemplar(cursor: ProtobufCursor): ExemplarFields {
  const exemplar: ExemplarFields = { attributes: [], time: 0n, value: 0, spanId: [0, 0], traceId: [0, 0] };
  while (cursor.next()) {
    if (cursor.field === 2) exemplar.time = cursor.fixed64();
    else if (cursor.field === 3) exemplar.value = cursor.double();
    else if (cursor.field === 4) take(cursor, exemplar.spanId);
    else if (cursor.field === 5) take(cursor, exemplar.traceId);
    else if (cursor.field === 6) exemplar.value = Number(cursor.sfixed64());
    else if (cursor.field === 7) push(cursor, exemplar.attributes);
    else cursor.skip();
  }
  return exemplar;
}
