// Run metrics: runs that started and ended in this process, and how many are unfinished in the store, by OpenTelemetry's API.
import {
  type Counter,
  type Histogram,
  metrics,
  type ObservableCallback,
  type ObservableGauge,
} from "@opentelemetry/api";
import { ATTR_ORIGIN_KIND, ATTR_WORKFLOW_NAME, tracerName } from "../semantic-conventions.ts";
import type { RunDepth, RunStore, StoredRun } from "./run-store.ts";

const stateKey = "tsdev.run.state";
/** Runs may last for days. Seconds. */
const bounds = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600, 21_600, 86_400, 604_800,
];

export class RunMetrics {
  readonly #store: RunStore;
  readonly #started: Counter;
  readonly #durations: Histogram;
  readonly #unfinished: ObservableGauge;
  readonly #due: ObservableGauge;
  #depths: readonly RunDepth[] = [];
  #reading = false;

  constructor(store: RunStore) {
    this.#store = store;
    const meter = metrics.getMeter(tracerName);
    this.#started = meter.createCounter("tsdev.workflow.run.started", {
      unit: "{run}",
      description: "runs whose first node a worker of this process began",
    });
    this.#durations = meter.createHistogram("tsdev.workflow.run.duration", {
      unit: "s",
      description: "from a run's start to its end, waits included",
      advice: { explicitBucketBoundaries: bounds },
    });
    this.#unfinished = meter.createObservableGauge("tsdev.workflow.run.unfinished", {
      unit: "{run}",
      description: "runs in the whole store that are queued, running or waiting",
    });
    this.#due = meter.createObservableGauge("tsdev.workflow.run.due", {
      unit: "{run}",
      description: "those of them that a worker should have taken by now",
    });
    this.#unfinished.addCallback(this.#observe);
    this.#due.addCallback(this.#observeDue);
  }

  started({ workflow, origin }: Pick<StoredRun, "workflow" | "origin">): void {
    this.#started.add(1, { [ATTR_WORKFLOW_NAME]: workflow, [ATTR_ORIGIN_KIND]: origin.kind });
  }

  /** Once for each run, by whoever ended it. */
  ended({ workflow, startedAt }: StoredRun, state: string, errorCode?: string): void {
    const seconds = Math.max(0, this.#store.now().getTime() - startedAt.getTime()) / 1_000;
    const failed = errorCode === undefined ? {} : { "error.type": errorCode };
    this.#durations.record(seconds, { [ATTR_WORKFLOW_NAME]: workflow, [stateKey]: state, ...failed });
  }

  close(): void {
    this.#unfinished.removeCallback(this.#observe);
    this.#due.removeCallback(this.#observeDue);
  }

  // A callback is asked only where metrics are on, so that elsewhere nothing is counted. It cannot wait: it tells what was
  // counted since the time before.
  readonly #observe: ObservableCallback = (result) => {
    for (const { workflow, state, runs } of this.#depths) {
      result.observe(runs, { [ATTR_WORKFLOW_NAME]: workflow, [stateKey]: state });
    }
    if (this.#reading) return;
    this.#reading = true;
    this.#store
      .depths()
      .then(
        (depths) => {
          this.#depths = depths;
        },
        // An old count is no count.
        () => {
          this.#depths = [];
        },
      )
      .finally(() => {
        this.#reading = false;
      });
  };

  readonly #observeDue: ObservableCallback = (result) => {
    const due = new Map<string, number>();
    for (const { workflow, due: some } of this.#depths) due.set(workflow, (due.get(workflow) ?? 0) + some);
    for (const [workflow, some] of due) result.observe(some, { [ATTR_WORKFLOW_NAME]: workflow });
  };
}
