// Meter: OpenTelemetry's metrics API over series that one collection reads.
import type {
  Attributes,
  BatchObservableCallback,
  BatchObservableResult,
  Counter,
  Gauge,
  Histogram,
  Meter,
  MeterProvider,
  MetricOptions,
  Observable,
  ObservableCallback,
  ObservableResult,
  UpDownCounter,
} from "@opentelemetry/api";
import { type Kind, Series } from "./series.ts";

/** The series of one instrumentation scope. */
export interface ScopeSeries {
  name: string;
  version: string;
  series: Series[];
}

const none: Attributes = {};

class ObservedInstrument implements Observable {
  readonly series: Series;
  readonly callbacks = new Set<ObservableCallback>();

  constructor(series: Series) {
    this.series = series;
  }

  addCallback(callback: ObservableCallback): void {
    this.callbacks.add(callback);
  }

  removeCallback(callback: ObservableCallback): void {
    this.callbacks.delete(callback);
  }
}

class LeanMeter implements Meter {
  readonly scope: ScopeSeries;
  readonly #touched: () => void;
  readonly #series = new Map<string, Series>();
  readonly #observed = new Map<Series, ObservedInstrument>();
  readonly #batches = new Map<BatchObservableCallback, Observable[]>();

  constructor(scope: ScopeSeries, touched: () => void) {
    this.scope = scope;
    this.#touched = touched;
  }

  createCounter(name: string, options?: MetricOptions): Counter {
    return this.#adding(this.#of(name, "counter", options));
  }

  createUpDownCounter(name: string, options?: MetricOptions): UpDownCounter {
    return this.#adding(this.#of(name, "upDownCounter", options));
  }

  createGauge(name: string, options?: MetricOptions): Gauge {
    const series = this.#of(name, "gauge", options);
    return {
      record: (value, attributes) => {
        series.set(value, attributes ?? none);
        this.#touched();
      },
    };
  }

  createHistogram(name: string, options?: MetricOptions): Histogram {
    const series = this.#of(name, "histogram", options);
    return {
      record: (value, attributes) => {
        series.record(value, attributes ?? none);
        this.#touched();
      },
    };
  }

  createObservableCounter(name: string, options?: MetricOptions): Observable {
    return this.#observable(this.#of(name, "counter", options));
  }

  createObservableUpDownCounter(name: string, options?: MetricOptions): Observable {
    return this.#observable(this.#of(name, "upDownCounter", options));
  }

  createObservableGauge(name: string, options?: MetricOptions): Observable {
    return this.#observable(this.#of(name, "gauge", options));
  }

  addBatchObservableCallback(callback: BatchObservableCallback, observables: Observable[]): void {
    this.#batches.set(callback, observables);
  }

  removeBatchObservableCallback(callback: BatchObservableCallback): void {
    this.#batches.delete(callback);
  }

  /** Asks every callback. What one gives after an `await` comes too late, and counts at the next time. */
  observe(): void {
    for (const { series, callbacks } of this.#observed.values()) {
      if (callbacks.size > 0) series.clear();
      const result: ObservableResult = { observe: (value, attributes) => series.set(value, attributes ?? none) };
      for (const callback of callbacks) quietly(() => callback(result));
    }
    const result: BatchObservableResult = {
      observe: (metric, value, attributes) => {
        if (metric instanceof ObservedInstrument) metric.series.set(value, attributes ?? none);
      },
    };
    for (const [callback, observables] of this.#batches) {
      for (const metric of observables) {
        if (metric instanceof ObservedInstrument && metric.callbacks.size === 0) metric.series.clear();
      }
      quietly(() => callback(result));
    }
  }

  #adding(series: Series): Counter {
    return {
      add: (value, attributes) => {
        series.add(value, attributes ?? none);
        this.#touched();
      },
    };
  }

  #observable(series: Series): Observable {
    const before = this.#observed.get(series);
    if (before) return before;
    const made = new ObservedInstrument(series);
    this.#observed.set(series, made);
    return made;
  }

  /** One name and kind is one series, however often it is made. */
  #of(name: string, kind: Kind, options: MetricOptions = {}): Series {
    const key = `${kind} ${name} ${options.unit ?? ""}`;
    let series = this.#series.get(key);
    if (!series) {
      const bounds = options.advice?.explicitBucketBoundaries;
      series = new Series(name, kind, {
        ...(options.unit === undefined ? {} : { unit: options.unit }),
        ...(options.description === undefined ? {} : { description: options.description }),
        ...(bounds === undefined ? {} : { bounds: [...bounds].sort((a, b) => a - b) }),
      });
      this.#series.set(key, series);
      this.scope.series.push(series);
    }
    return series;
  }
}

export class LeanMeterProvider implements MeterProvider {
  readonly #meters = new Map<string, LeanMeter>();
  /** Whether an instrument of the app was used since the last collection. */
  touched = false;

  getMeter(name: string, version = ""): Meter {
    const key = JSON.stringify([name, version]);
    let meter = this.#meters.get(key);
    if (!meter) {
      meter = new LeanMeter({ name, version, series: [] }, () => {
        this.touched = true;
      });
      this.#meters.set(key, meter);
    }
    return meter;
  }

  /** All series as they are now; what is observed is asked first. */
  collect(): ScopeSeries[] {
    this.touched = false;
    const meters = [...this.#meters.values()];
    for (const meter of meters) meter.observe();
    return meters.map((meter) => meter.scope);
  }
}

/** A callback of the app must not cost the others their turn. */
function quietly(work: () => void | Promise<void>): void {
  try {
    void Promise.resolve(work()).catch(() => undefined);
  } catch {
    // It has nothing to tell this time.
  }
}
