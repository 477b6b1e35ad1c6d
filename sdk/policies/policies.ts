// Policies: what may stand around a procedure or a step, and the one order in which it stands there, from the outside in:
// auth, cache, rate limit, retry, circuit breaker, timeout, span, contract, handler.
//
// - An answer from the cache is only for who may call, and costs neither a place in the limit nor an attempt.
// - The rate limit counts calls, not attempts.
// - Each attempt asks the breaker and has the whole time limit.
// - The contract is checked in every attempt, on the input as it came, so that a handler which changes its input does not
//   change that of the next attempt. `allow` and `key` are given the input as the contract makes it.
import type { CacheIr, CircuitBreakerIr, RateLimitIr, RetryIr, TimeoutIr } from "../ir/ir.ts";
import type { Principal } from "../procedures/procedure.ts";

export type RetryOptions = RetryIr;
export type TimeoutOptions = TimeoutIr;
export type CircuitBreakerOptions = CircuitBreakerIr;

/** What calls share an output, or a limit: a text made from the input and from who calls. */
export type PolicyKey<Input> = (input: Input, principal: Principal | undefined) => string;

export type CacheOptions<Input = unknown> = Omit<CacheIr, "keyed"> & {
  /** Default: the digest of the input and the id of the principal, so that nobody gets what was made for another. */
  readonly key?: PolicyKey<Input>;
};
export type RateLimitOptions<Input = unknown> = Omit<RateLimitIr, "keyed"> & {
  /** Default: all calls share one limit. */
  readonly key?: PolicyKey<Input>;
};

/** Who may call. Nobody authenticated is `unauthenticated`, the wrong one `forbidden`. */
export interface AuthOptions<Input = unknown> {
  /** Any of these roles. Default: whoever is authenticated. */
  readonly roles?: readonly string[];
  /** Decides further; false is `forbidden`. */
  readonly allow?: (principal: Principal, input: Input) => boolean | Promise<boolean>;
}

/** Policies of a procedure. Those of a step stand in the place of the procedure's own of the same kind. */
// biome-ignore lint/suspicious/noExplicitAny: stands for the policies of a procedure of any input
export interface ProcedurePolicies<Input = any> {
  /** `true`: whoever is authenticated. */
  readonly auth?: AuthOptions<Input> | true;
  readonly cache?: CacheOptions<Input>;
  readonly rateLimit?: RateLimitOptions<Input>;
  readonly retry?: RetryOptions;
  readonly circuitBreaker?: CircuitBreakerOptions;
  readonly timeout?: TimeoutOptions;
}
