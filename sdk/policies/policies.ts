// Policies: what may wrap a procedure or a step. One order, from the outside in:
// auth, cache, rate limit, retry, circuit breaker, timeout, span, contract, handler.
import type { CacheIr, CircuitBreakerIr, RateLimitIr, RetryIr, TimeoutIr } from "../ir/ir.ts";
import type { Principal } from "../procedures/procedure.ts";

export type RetryOptions = RetryIr;
export type TimeoutOptions = TimeoutIr;
export type CircuitBreakerOptions = CircuitBreakerIr;
export type CacheOptions<Input = unknown> = Omit<CacheIr, "keyed"> & { readonly key?: (input: Input) => string };
export type RateLimitOptions<Input = unknown> = Omit<RateLimitIr, "keyed"> & {
  readonly key?: (input: Input) => string;
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
  readonly auth?: AuthOptions<Input> | true;
  readonly cache?: CacheOptions<Input>;
  readonly rateLimit?: RateLimitOptions<Input>;
  readonly retry?: RetryOptions;
  readonly circuitBreaker?: CircuitBreakerOptions;
  readonly timeout?: TimeoutOptions;
}
