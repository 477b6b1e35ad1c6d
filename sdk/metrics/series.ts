// Series: what an instrument has measured for each set of attributes since the process began.
import type { Attributes } from "@opentelemetry/api";
import { attributesKey } from "./attributes.ts";

export type Kind = "counter" | "upDownCounter" | "gauge" | "histogram";

/** Sets of attributes of one instrument; those that come later are counted together (OpenTelemetry's default limit). */
const mostSeries = 2_000;
const overflow: Attributes = { "otel.metric.overflow": true };

/** The default of OpenTelemetry for explicit buckets, and that of semantic conventions for durations in seconds. */
export const defaultBounds = [0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1_000, 2_500, 5_000, 7_500, 10_000];
export const secondsBounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];

export interface HistogramValue {
  count: number;
  sum: number;
  min: number;
  max: number;
  /** One more than there are bounds. */
  buckets: number[];
}

export interface Point {
  attributes: Attributes;
  value: number;
  histogram?: HistogramValue;
}

export class Series {
  readonly name: string;
  readonly unit: string;
  readonly description: string;
  readonly kind: Kind;
  readonly bounds: readonly number[];
  #points = new Map<string, Point>();

  constructor(name: string, kind: Kind, options: { unit?: string; description?: string; bounds?: readonly number[] }) {
    this.name = name;
    this.kind = kind;
    this.unit = options.unit ?? "";
    this.description = options.description ?? "";
    this.bounds = options.bounds ?? (this.unit === "s" ? secondsBounds : defaultBounds);
  }

  get points(): Iterable<Point> {
    return this.#points.values();
  }

  /** Adds to a sum. */
  add(value: number, attributes: Attributes): void {
    if (Number.isFinite(value) && (value >= 0 || this.kind !== "counter")) this.#at(attributes).value += value;
  }

  /** Replaces a value. */
  set(value: number, attributes: Attributes): void {
    if (Number.isFinite(value)) this.#at(attributes).value = value;
  }

  /** Counts a value in its bucket. */
  record(value: number, attributes: Attributes): void {
    if (!Number.isFinite(value) || value < 0) return;
    const point = this.#at(attributes);
    point.histogram ??= {
      ...{ count: 0, sum: 0, min: value, max: value },
      buckets: new Array<number>(this.bounds.length + 1).fill(0),
    };
    const { histogram } = point;
    histogram.count += 1;
    histogram.sum += value;
    if (value < histogram.min) histogram.min = value;
    if (value > histogram.max) histogram.max = value;
    let bucket = 0;
    while (bucket < this.bounds.length && value > this.bounds[bucket]!) bucket += 1;
    histogram.buckets[bucket]! += 1;
  }

  /** Forgets all points: what is observed anew each time must not outlive what it was observed of. */
  clear(): void {
    this.#points.clear();
  }

  #at(attributes: Attributes): Point {
    const key = attributesKey(attributes);
    const found = this.#points.get(key);
    if (found) return found;
    if (this.#points.size >= mostSeries && attributes !== overflow) return this.#at(overflow);
    const made: Point = { attributes: { ...attributes }, value: 0 };
    this.#points.set(key, made);
    return made;
  }
}
