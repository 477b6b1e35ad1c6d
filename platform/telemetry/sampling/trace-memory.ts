// TraceMemory: what is known of the traces that wait for their decision, and for a while what was decided of the others.
import type { Tenant } from "../ingest/tables.ts";
import { isSlow, ordinaryWeight, type SamplingPolicy, type Weight } from "./decision.ts";
import type { Decisions } from "./decisions-file.ts";
import { OperationHistories } from "./operation-history.ts";
import { learn, type TraceFacts } from "./trace-parts.ts";
import type { Frame } from "./window-file.ts";

/** The trace ids of an environment that somebody refers to. */
export type Cited = (tenant: Tenant) => ReadonlySet<string>;

interface KnownTrace {
  /** From all its spans so far; undefined where only the decision is left. */
  facts: TraceFacts | undefined;
  /** The facts that were there when it was last judged. */
  judged: TraceFacts | undefined;
  weight: Weight | undefined;
  /** The last window that had a span of it and was decided. */
  window: string;
  /** Parts of it in windows that are not over. */
  waiting: number;
}

interface Environment {
  traces: Map<string, KnownTrace>;
  histories: OperationHistories;
}

export function environmentKey({ organizationId, project, environment }: Tenant): string {
  return JSON.stringify([organizationId, project, environment]);
}

export class TraceMemory {
  readonly #environments = new Map<string, Environment>();
  #size = 0;

  /** Traces that are known, decided or not. */
  get size(): number {
    return this.#size;
  }

  /** What a request says of its traces. */
  learn(frame: Frame): void {
    const environment = this.#environment(environmentKey(frame.tenant));
    for (const { traceId, ...facts } of frame.parts) {
      const trace = this.#trace(environment, traceId);
      trace.waiting++;
      if (trace.facts === undefined) trace.facts = facts;
      else learn(trace.facts, facts);
    }
  }

  /** Decides every trace that has a span in these requests. `now` in milliseconds. */
  decide(frames: readonly Frame[], cited: Cited, now: number): Decisions {
    const decisions = new Map<string, Map<string, Weight>>();
    for (const { tenant, policy, parts } of frames) {
      const key = environmentKey(tenant);
      const environment = this.#environment(key);
      const weights = decisions.get(key) ?? new Map<string, Weight>();
      decisions.set(key, weights);
      const citedHere = cited(tenant);
      for (const { traceId } of parts) {
        if (weights.has(traceId)) continue;
        const trace = this.#trace(environment, traceId);
        weights.set(traceId, this.#decideTrace(trace, traceId, policy, environment, citedHere.has(traceId), now));
      }
    }
    return decisions;
  }

  /** These decisions hold from now on, for what comes late too. */
  keep(decisions: Decisions, window: string): void {
    for (const [key, weights] of decisions) {
      const environment = this.#environment(key);
      for (const [traceId, weight] of weights) {
        const trace = this.#trace(environment, traceId);
        trace.weight = weight;
        trace.window = window;
      }
    }
  }

  /** The rows of these requests are out of hand. */
  release(frames: readonly Frame[]): void {
    for (const { tenant, parts } of frames) {
      const environment = this.#environment(environmentKey(tenant));
      for (const { traceId } of parts) this.#trace(environment, traceId).waiting--;
    }
  }

  /** Forgets the traces of a window of which nothing came since. */
  forget(decisions: Decisions, window: string): void {
    for (const [key, weights] of decisions) {
      const { traces } = this.#environment(key);
      for (const traceId of weights.keys()) {
        const trace = traces.get(traceId);
        if (trace === undefined || trace.window !== window || trace.waiting > 0) continue;
        traces.delete(traceId);
        this.#size--;
      }
      // Nothing came for minutes: what was slow then says little about what comes.
      if (traces.size === 0) this.#environments.delete(key);
    }
  }

  /**
   * A trace that is decided stays so, unless what came later is a reason to keep it: then its spans are kept from here on
   * and stand for themselves, whatever the lot had said, so that sums stay true.
   */
  #decideTrace(
    trace: KnownTrace,
    traceId: string,
    policy: SamplingPolicy,
    environment: Environment,
    cited: boolean,
    now: number,
  ): Weight {
    const { facts, judged } = trace;
    if (facts === undefined) return trace.weight ?? 1;
    const timeTold = judged?.authority !== facts.authority || judged.durationMs !== facts.durationMs;
    // Where nobody can tell yet a trace is kept, but none that was decided is taken up again.
    const slow = timeTold && (isSlow(facts, policy, environment.histories, now) ?? trace.weight === undefined);
    trace.judged = { ...facts };
    if (facts.failed || slow || cited) return 1;
    return trace.weight ?? ordinaryWeight(traceId, facts, policy, environment.histories, now);
  }

  #environment(key: string): Environment {
    const known = this.#environments.get(key);
    if (known) return known;
    const made: Environment = { traces: new Map(), histories: new OperationHistories() };
    this.#environments.set(key, made);
    return made;
  }

  #trace(environment: Environment, traceId: string): KnownTrace {
    const known = environment.traces.get(traceId);
    if (known) return known;
    const made: KnownTrace = { facts: undefined, judged: undefined, weight: undefined, window: "", waiting: 0 };
    environment.traces.set(traceId, made);
    this.#size++;
    return made;
  }
}
