// Tally: what the replayed requests showed, added up request by request: differences, failures, and what stays open.
import type { RequestRecording } from "../../platform/telemetry/recording.ts";
import type { Comparison, Observation } from "./observation.ts";
import type { ScopeReport } from "./outgoing-sink.ts";

/** One request on one side. */
export interface Seen {
  observation: Observation;
  report: ScopeReport;
}

export const differenceLimit = 8;

export class Tally {
  readonly differences: string[] = [];
  readonly failures = { before: 0, after: 0 };
  /** Whether the affected requests changed rows. */
  writes = false;
  /** Nothing after this is worth comparing: rows differ, or there are enough differences. */
  over = false;
  readonly #comparison: Comparison;
  readonly #affected: ReadonlySet<RequestRecording>;
  readonly #open: string[] = [];
  #odd = 0;
  #unused = 0;
  #repeated = 0;
  #shapes = 0;

  constructor(comparison: Comparison, affected: ReadonlySet<RequestRecording>) {
    this.#comparison = comparison;
    this.#affected = affected;
  }

  /** `left` is the base version as recorded, `base` what the patched version must equal; often they are the same. */
  add(recording: RequestRecording, left: Seen, base: Seen, right: Seen): void {
    const affected = this.#affected.has(recording);
    if (affected) {
      this.writes ||= base.observation.changes.length > 0;
      if (isFailed(left.observation)) this.failures.before += 1;
      if (isFailed(right.observation)) this.failures.after += 1;
      if (statusClass(left.observation.status) !== statusClass(recording.status)) this.#odd += 1;
    }
    this.#unused += Math.max(0, right.report.unused - base.report.unused);
    this.#repeated += right.report.calls.filter((call) => call.rule === "repeated").length;
    this.#shapes += base.report.calls.filter((call) => call.rule === "shape").length;
    const found = this.#comparison.compare(base.observation, right.observation);
    const changed = found.some((text) => text.startsWith("changed rows"));
    const missing = unmatched(right.report);
    const missingBefore = unmatched(base.report);
    const where = `${recording.method} ${recording.path}`;
    if (!affected && missing.length > 0 && missing.join() === missingBefore.join()) {
      this.#open.push(`${where}: calls ${missing.join(", ")} without a recording on either side`);
    } else {
      for (const call of missing) found.push(`outgoing call without a recording: ${call} after`);
      if (affected) for (const call of missingBefore) found.push(`outgoing call without a recording: ${call} before`);
    }
    this.differences.push(...found.map((text) => `${where}: ${text}`));
    // With other rows in the database, what follows would compare two different worlds.
    if (changed || this.differences.length >= differenceLimit) this.over = true;
  }

  /** Adds what only the whole shows; call it once, at the end. */
  conclude(): void {
    const count = this.#affected.size;
    if (count > 0 && this.#odd > count / 2) {
      this.differences.push(`${this.#odd} of ${count} affected requests could not be reproduced`);
    }
    if (count === 0) this.differences.push("no recorded request runs the code that the finding is about");
  }

  /** What is not proven, one sentence each. */
  open(): string[] {
    const lines = [...this.#open];
    const say = (number: number, text: string) => {
      if (number > 0) lines.push(`${number} ${text}`);
    };
    say(
      this.#odd,
      `of ${this.#affected.size} affected requests were answered with another status than when they were recorded`,
    );
    say(this.#unused, "recorded outgoing calls were not made by the patched version");
    say(this.#repeated, "repeated calls had no later recording and got the last answer again");
    say(
      this.#shapes,
      "outgoing calls were matched by the shape of their URL, because an id or the body was another than recorded",
    );
    return lines;
  }
}

const isFailed = ({ status }: Observation): boolean => status === 0 || status >= 500;
const statusClass = (status: number): number => Math.floor(status / 100);
const unmatched = (report: ScopeReport): string[] =>
  report.calls.filter((call) => call.answer === null).map((call) => `${call.method} ${call.url}`);
