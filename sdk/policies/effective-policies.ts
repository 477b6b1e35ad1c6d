// Effective policies: those of a procedure and of the step that runs it made into one, with the state that they share.
import { z } from "zod";
import { digest } from "../digest.ts";
import type { PoliciesIr, RetryIr, TimeoutIr } from "../ir/ir.ts";
import { checkContract } from "../procedures/contract.ts";
import type { AnyProcedure, Principal } from "../procedures/procedure.ts";
import { authorize } from "./auth.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { withFilesTold } from "./files-told.ts";
import { type CacheResult, OutputCache } from "./output-cache.ts";
import type { PolicyKey, ProcedurePolicies } from "./policies.ts";
import { Retries, RetryBudget } from "./retry.ts";
import { SharedRateLimiter } from "./shared-rate-limiter.ts";
import { limited, untilAborted } from "./timeout.ts";

/** One call as the policies see it. */
export interface PolicyCall {
  /** As it came: of a step what `with` made of the scope, of a `run` node the scope. */
  readonly input: unknown;
  readonly principal: Principal | undefined;
  readonly signal: AbortSignal;
}

/** The place of a step. Policies are looked up on the node, then on the parallel node around it, then on the procedure. */
export interface StepPlace {
  readonly workflow: string;
  readonly node: PoliciesIr & { readonly id: string };
  /** The parallel node that the step is a branch of. */
  readonly around?: PoliciesIr | undefined;
  /** The node's code: holds the keys, and is what breakers, limits and budgets of the step hang on in this process. */
  readonly code: {
    readonly cacheKey?: PolicyKey<never>;
    readonly rateLimitKey?: PolicyKey<never>;
  };
}

/**
 * What stands around one call. Whoever runs a call uses the parts in this order; `call` does, and the engine for a step:
 *
 * ```ts
 * const policies = effectivePolicies(procedure, place);
 * await policies.authorize(asked);
 * const { output, result } = await policies.cached(asked, async (signal) => {
 *   await policies.admit({ ...asked, signal });          // a step waits `reserve()` ms instead, and is not refused
 *   const retries = policies.retries();
 *   for (let attempt = 1; ; attempt++) {
 *     try {
 *       return await policies.guarded(signal, (inner) => …);   // one attempt: breaker, time limit; then span and so on
 *     } catch (error) {
 *       const { again, waitMs, exhausted } = retries.after(error, attempt, signal);
 *       if (!again) throw error;
 *       await sleep(waitMs, undefined, { signal });
 *     }
 *   }
 * });
 * ```
 *
 * What `cached` calls may serve other calls too: it ends when the last of them has gone, by the `signal` it is given, and a
 * refresh of a stale output ends by none. So a function given to it must not count on the run that began it being alive.
 */
export interface EffectivePolicies {
  /** True: there are none, and all of it may be left out. */
  readonly none: boolean;
  /** Attempts that a call may make; 1 without a retry. */
  readonly maxAttempts: number;
  readonly hasCache: boolean;
  /** Throws `unauthenticated`, `forbidden`, or `invalid_input` where `allow` looks at the input. */
  authorize(call: PolicyCall): Promise<void>;
  /** The output kept for this input, or what `make` gives; `result` is undefined without a cache. */
  cached(
    call: PolicyCall,
    make: (signal: AbortSignal) => Promise<unknown>,
  ): Promise<{ output: unknown; result: CacheResult | undefined }>;
  /** Takes a place within the rate limit, or throws `rate_limited` with `retryAfterMs`. */
  admit(call: PolicyCall): Promise<void>;
  /** Takes the next place within the rate limit and answers after how many milliseconds the call may begin. */
  reserve(call: PolicyCall): Promise<number>;
  /** Of one call; it is counted into the budget, unless it is `carriedOn` after attempts that failed. */
  retries(carriedOn?: boolean): Retries;
  /** One attempt. Throws `circuit_open`, `timeout`, what the signal was aborted with, or what `attempt` throws. */
  guarded<T>(signal: AbortSignal, attempt: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

const ofProcedures = new WeakMap<AnyProcedure, Policies>();
const ofSteps = new WeakMap<object, Map<string, Policies>>();

/**
 * The policies of a procedure, or of a step (`procedure` is undefined for a `run` node). Asking twice answers the same
 * object, so that breakers, limits and budgets are shared by all calls of the procedure in this process, and by all runs
 * of a step; what a step inherits it shares with the procedure.
 */
export function effectivePolicies(procedure: AnyProcedure | undefined, step?: StepPlace): EffectivePolicies {
  const own = procedure ? policiesOf(procedure) : nothing;
  if (!step) return own;
  const chosen = chosenPolicies(step);
  if (!chosen) return own;
  let known = ofSteps.get(step.code);
  if (!known) {
    known = new Map();
    ofSteps.set(step.code, known);
  }
  // By content: every run brings an IR of its own, and one that began with other options keeps them.
  const key = JSON.stringify(chosen);
  let policies = known.get(key);
  if (!policies) {
    policies = new Policies({ ...own.parts, ...partsOfStep(step, chosen, procedure) });
    known.set(key, policies);
  }
  return policies;
}

function policiesOf(procedure: AnyProcedure): Policies {
  let policies = ofProcedures.get(procedure);
  if (!policies) {
    const parts = partsOfProcedure(procedure);
    policies = Object.keys(parts).length === 0 ? nothing : new Policies(parts);
    ofProcedures.set(procedure, policies);
  }
  return policies;
}

/** Undefined when neither the node nor the one around it has any. */
function chosenPolicies({ node, around }: StepPlace): PoliciesIr | undefined {
  const chosen: { -readonly [Kind in keyof PoliciesIr]: PoliciesIr[Kind] } = {};
  const retry = node.retry ?? around?.retry;
  if (retry) chosen.retry = retry;
  const timeout = node.timeout ?? around?.timeout;
  if (timeout) chosen.timeout = timeout;
  const cache = node.cache ?? around?.cache;
  if (cache) chosen.cache = cache;
  const rateLimit = node.rateLimit ?? around?.rateLimit;
  if (rateLimit) chosen.rateLimit = rateLimit;
  const circuitBreaker = node.circuitBreaker ?? around?.circuitBreaker;
  if (circuitBreaker) chosen.circuitBreaker = circuitBreaker;
  return retry || timeout || cache || rateLimit || circuitBreaker ? chosen : undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: keys take whatever the input is
type OwnPolicies = Omit<ProcedurePolicies<any>, "auth">;

/** Each part has its own state and knows whose it is. */
interface Parts {
  auth?: (call: PolicyCall) => Promise<void>;
  cache?: { outputs: OutputCache; key: (call: PolicyCall) => Promise<string> };
  rateLimit?: { limiter: SharedRateLimiter; key: (call: PolicyCall) => Promise<string> };
  retry?: { options: RetryIr; budget: RetryBudget | undefined };
  circuitBreaker?: CircuitBreaker;
  timeout?: { limit: TimeoutIr; what: string };
}

function partsOfProcedure(procedure: AnyProcedure): Parts {
  const { auth, ...others } = procedure.policies;
  const what = `procedure "${procedure.name}"`;
  const checked = (input: unknown) => checkContract(procedure.input, input, `the input of ${what}`);
  const spaces = { cache: spaceOf(procedure.name, procedure), limit: `procedure:${procedure.name}` };
  const parts = partsOf(what, spaces, others, checked);
  if (auth) parts.auth = ({ principal, input }) => authorize(auth, what, principal, () => checked(input));
  return parts;
}

function partsOfStep(
  { workflow, node, code }: StepPlace,
  chosen: PoliciesIr,
  procedure: AnyProcedure | undefined,
): Parts {
  const { cache, rateLimit, ...others } = chosen;
  const options: OwnPolicies = {
    ...others,
    ...(cache && { cache: { ...cache, ...(code.cacheKey && { key: code.cacheKey as PolicyKey<unknown> }) } }),
    ...(rateLimit && {
      rateLimit: { ...rateLimit, ...(code.rateLimitKey && { key: code.rateLimitKey as PolicyKey<unknown> }) },
    }),
  };
  // The author of the step wrote what makes its input, so its keys see it as it comes.
  const what = `step "${node.id}" of workflow "${workflow}"`;
  const place = `${workflow}/${node.id}`;
  return partsOf(what, { cache: spaceOf(place, procedure), limit: `step:${place}` }, options, (input) => input);
}

/** What sets keys apart in a store that others share. A limit goes on over a change of the contract. */
interface Spaces {
  readonly cache: () => string;
  readonly limit: string;
}

function partsOf(what: string, spaces: Spaces, options: OwnPolicies, seen: (input: unknown) => unknown): Parts {
  const { cache, rateLimit, retry, circuitBreaker, timeout } = options;
  const parts: Parts = {};
  if (cache) {
    parts.cache = { outputs: new OutputCache(what, cache, spaces.cache), key: keyBy(cache.key ?? wholeInput, seen) };
  }
  if (rateLimit) {
    const limiter = new SharedRateLimiter(what, spaces.limit, rateLimit);
    parts.rateLimit = { limiter, key: keyBy(rateLimit.key ?? (() => ""), seen) };
  }
  if (retry) {
    parts.retry = { options: retry, budget: retry.budget === undefined ? undefined : new RetryBudget(retry.budget) };
  }
  if (circuitBreaker) parts.circuitBreaker = new CircuitBreaker(what, circuitBreaker);
  if (timeout) parts.timeout = { limit: timeout, what };
  return parts;
}

/** By the shape of the output too: what an earlier version of the app has kept in a shared store is not answered. */
function spaceOf(name: string, procedure: AnyProcedure | undefined): () => string {
  let space: string | undefined;
  return () => {
    space ??= procedure
      ? `${name}@${digest(z.toJSONSchema(procedure.output, { unrepresentable: "any" })).slice(0, 12)}`
      : name;
    return space;
  };
}

function keyBy(
  key: PolicyKey<never> | typeof wholeInput,
  seen: (input: unknown) => unknown,
): (call: PolicyCall) => Promise<string> {
  return async ({ input, principal }) => String(await key((await seen(input)) as never, principal));
}

async function wholeInput(input: unknown, principal: Principal | undefined): Promise<string> {
  const told = await withFilesTold(input);
  return digest(principal === undefined ? [told] : [told, principal.id]);
}

class Policies implements EffectivePolicies {
  readonly parts: Parts;
  readonly none: boolean;
  readonly maxAttempts: number;
  readonly hasCache: boolean;

  constructor(parts: Parts) {
    this.parts = parts;
    this.none = Object.keys(parts).length === 0;
    this.maxAttempts = parts.retry?.options.maxAttempts ?? 1;
    this.hasCache = parts.cache !== undefined;
  }

  async authorize(call: PolicyCall): Promise<void> {
    await this.parts.auth?.(call);
  }

  async cached(
    call: PolicyCall,
    make: (signal: AbortSignal) => Promise<unknown>,
  ): Promise<{ output: unknown; result: CacheResult | undefined }> {
    const { cache } = this.parts;
    if (!cache) return { output: await make(call.signal), result: undefined };
    return cache.outputs.get(await cache.key(call), call.signal, make);
  }

  async admit(call: PolicyCall): Promise<void> {
    const { rateLimit } = this.parts;
    if (rateLimit) await rateLimit.limiter.admit(await rateLimit.key(call));
  }

  async reserve(call: PolicyCall): Promise<number> {
    const { rateLimit } = this.parts;
    return rateLimit ? rateLimit.limiter.reserve(await rateLimit.key(call)) : 0;
  }

  retries(carriedOn = false): Retries {
    const { retry } = this.parts;
    return new Retries(retry?.options, retry?.budget, carriedOn);
  }

  guarded<T>(signal: AbortSignal, attempt: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { circuitBreaker, timeout } = this.parts;
    const timed = timeout
      ? () => limited(timeout.limit, timeout.what, signal, attempt)
      : () => untilAborted(signal, attempt);
    return circuitBreaker ? circuitBreaker.execute(signal, timed) : timed();
  }
}

const nothing = new Policies({});
