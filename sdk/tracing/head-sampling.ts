// Head sampling: which traces are recorded, decided at the first span by OTEL_TRACES_SAMPLER and its argument.
import { createTraceState, type SpanContext, TraceFlags, type TraceState } from "@opentelemetry/api";

export type SamplerName =
  | "always_on"
  | "always_off"
  | "traceidratio"
  | "parentbased_always_on"
  | "parentbased_always_off"
  | "parentbased_traceidratio";

const names: readonly string[] = [
  "always_on",
  "always_off",
  "traceidratio",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
] satisfies SamplerName[];

/** `rv` of the list member `ot`: 56 bits that the id's own stand back for. */
const randomness = /(?:^|;)rv:([0-9a-f]{14})(?:;|$)/;

const two32 = 2 ** 32;
const two24 = 2 ** 24;

/** Decides by the trace's id, so that services with one ratio keep the same traces. */
export class HeadSampler {
  readonly #parentBased: boolean;
  /** At least 0, at most 1. */
  readonly ratio: number;
  // The threshold of OpenTelemetry's consistent probability sampling: a trace is kept when the last 56 bits of its id are
  // not below (1 - ratio) * 2^56. In two parts, because a double holds 53 bits.
  readonly #high: number;
  readonly #low: number;
  readonly #threshold: string | undefined;
  readonly #rootState: TraceState | undefined;

  /** Unknown names are read as the default, `parentbased_always_on`; a ratio that is none as 1. */
  constructor(name: string | undefined, argument: string | undefined) {
    const known = (names.includes(name ?? "") ? name : "parentbased_always_on") as SamplerName;
    this.#parentBased = known.startsWith("parentbased_");
    this.ratio = ratioOf(known, argument);
    const dropped = 1 - this.ratio;
    this.#high = Math.floor(dropped * two24);
    this.#low = Math.floor((dropped * two24 - this.#high) * two32);
    if (this.ratio > 0 && this.ratio < 1) {
      this.#threshold = (hex(this.#high, 6) + hex(this.#low, 8)).replace(/0+$/, "");
      this.#rootState = createTraceState(`ot=th:${this.#threshold}`);
    }
  }

  /** Words two and three of the trace's id, from 0, as signed 32-bit integers. */
  keeps(word2: number, word3: number): boolean {
    if (this.ratio >= 1) return true;
    if (this.ratio <= 0) return false;
    const high = word2 & 0xff_ffff;
    return high > this.#high || (high === this.#high && word3 >>> 0 >= this.#low);
  }

  /** For a span whose parent is another process's. */
  keepsBelow(parent: SpanContext, word2: number, word3: number): boolean {
    if (this.#parentBased) return (parent.traceFlags & TraceFlags.SAMPLED) !== 0;
    // Randomness that the first of the trace gave stands for that of the id.
    const given = randomness.exec(parent.traceState?.get("ot") ?? "")?.[1];
    if (given === undefined) return this.keeps(word2, word3);
    return this.keeps(Number.parseInt(given.slice(0, 6), 16), Number.parseInt(given.slice(6), 16));
  }

  /** The trace state of a span that was decided here: it tells the ratio to whoever counts spans. */
  stateOf(parent: SpanContext | undefined): TraceState | undefined {
    if (parent && this.#parentBased) return parent.traceState;
    const above = parent?.traceState;
    if (above === undefined) return this.#rootState;
    const before = above.get("ot")?.split(";") ?? [];
    // The parent's threshold is not the probability of a span that was decided here.
    const members = before.filter((member) => !member.startsWith("th:"));
    if (this.#threshold !== undefined) members.unshift(`th:${this.#threshold}`);
    else if (members.length === before.length) return above;
    if (members.length > 0) return above.set("ot", members.join(";"));
    const left = above.unset("ot");
    return left.serialize() === "" ? undefined : left;
  }
}

function ratioOf(name: SamplerName, argument: string | undefined): number {
  if (name.endsWith("always_on")) return 1;
  if (name.endsWith("always_off")) return 0;
  const ratio = Number(argument || 1);
  return ratio >= 0 && ratio <= 1 ? ratio : 1;
}

function hex(value: number, length: number): string {
  return value.toString(16).padStart(length, "0");
}
