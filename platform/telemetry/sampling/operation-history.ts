// OperationHistory: what an operation's traces were like of late, which says what is slow for it and how many were kept.
import { LogCollapsingLowestDenseDDSketch } from "@datadog/sketches-js";

/** How far the estimate of a quantile may be from the true one, as a share of it. */
export const accuracy = 0.01;
/** A sketch is of this size at most: with 1 % it reaches over 17 orders of magnitude. */
const bins = 2_048;
/** The quantile is that of the last five to ten minutes, in milliseconds. */
const stretchMs = 300_000;
const minuteMs = 60_000;

function sketch() {
  return new LogCollapsingLowestDenseDDSketch({ relativeAccuracy: accuracy, binLimit: bins });
}

export class OperationHistory {
  /** Every duration goes into both; the elder one answers, and is given up when it is ten minutes old. */
  #elder = sketch();
  #younger = sketch();
  #turn: number;
  #minute = 0;
  #kept = 0;

  constructor(now: number) {
    this.#turn = now + stretchMs;
  }

  /**
   * Whether a duration is slow for this operation, by those that came before it: longer than the quantile by more than the
   * estimate may be wrong, so that of equal durations none is slow. Undefined while too few are known to tell.
   */
  isSlow(durationMs: number, quantile: number): boolean | undefined {
    if (this.#elder.count < 1 / (1 - quantile)) return undefined;
    const estimate = this.#elder.getValueAtQuantile(quantile);
    return durationMs > estimate * (1 + accuracy);
  }

  observe(durationMs: number, now: number): void {
    if (now >= this.#turn) {
      this.#elder = this.#younger;
      this.#younger = sketch();
      this.#turn = now + stretchMs;
    }
    this.#elder.accept(durationMs);
    this.#younger.accept(durationMs);
  }

  /** Takes one of the places that a minute has, by the clock. False when all are taken. */
  takePlace(perMinute: number, now: number): boolean {
    const minute = Math.floor(now / minuteMs);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#kept = 0;
    }
    if (this.#kept >= perMinute) return false;
    this.#kept++;
    return true;
  }
}

/** Most operations of an environment that are told apart; those that come later are taken for one. */
const operationsLimit = 1_000;
const otherOperations = "";

/** The operations of one environment. */
export class OperationHistories {
  readonly #byName = new Map<string, OperationHistory>();

  of(operation: string, now: number): OperationHistory {
    const known = this.#byName.get(operation);
    if (known) return known;
    const name = this.#byName.size < operationsLimit ? operation : otherOperations;
    const history = this.#byName.get(name) ?? new OperationHistory(now);
    this.#byName.set(name, history);
    return history;
  }
}
