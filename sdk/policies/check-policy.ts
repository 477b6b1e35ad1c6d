// Checks the options of policies when a procedure or a workflow is declared, so that a wrong one fails at start and not in
// the first call.
import { z } from "zod";
import { TsdevError } from "../errors.ts";
import type { CacheIr, CircuitBreakerIr, RateLimitIr, RetryIr, TimeoutIr } from "../ir/ir.ts";
import { nearest } from "../nearest.ts";
import type { CacheOptions, ProcedurePolicies, RateLimitOptions } from "./policies.ts";

/** What a retry is where its options say nothing, milliseconds. */
export const retryDefaults = { backoff: "exponential", initialMs: 200, maxMs: 30_000 } as const;

/** The longest that Node's timers can wait, milliseconds. */
const longestTimerMs = 2_147_483_647;
const Duration = z.number().positive().max(longestTimerMs);
const Key = z.custom<(input: never) => string>((value) => typeof value === "function", "must be a function").optional();

const Retry = z.strictObject({
  maxAttempts: z.int().min(1).max(100),
  backoff: z.enum(["exponential", "fixed"]).optional(),
  initialMs: z.number().min(0).max(longestTimerMs).optional(),
  maxMs: z.number().min(0).max(longestTimerMs).optional(),
  on: z.array(z.string().min(1)).min(1).optional(),
  budget: z.number().min(0).max(1).optional(),
});
const Timeout = z.strictObject({ ms: Duration });
const Cache = z.strictObject({ ttlMs: Duration, staleMs: z.number().min(0).max(longestTimerMs).optional(), key: Key });
const RateLimit = z.strictObject({ limit: z.int().min(1), perMs: Duration, key: Key });
const CircuitBreaker = z.strictObject({ failures: z.int().min(1), openMs: Duration });
const Auth = z.union([
  z.literal(true),
  z.strictObject({
    roles: z.array(z.string().min(1)).min(1).optional(),
    allow: z.custom((value) => typeof value === "function", "must be a function").optional(),
  }),
]);

export function checkRetry(options: RetryIr, workflow: string, node: string): RetryIr {
  return checkModifier(Retry, options, "withRetry", workflow, node);
}

export function checkTimeout(options: TimeoutIr, workflow: string, node: string): TimeoutIr {
  return checkModifier(Timeout, options, "withTimeout", workflow, node);
}

/** The options as the IR has them; the `key` belongs into the node's code. */
export function checkCache(options: CacheOptions<never>, workflow: string, node: string): CacheIr {
  return keyed(checkModifier(Cache, options, "withCache", workflow, node));
}

/** The options as the IR has them; the `key` belongs into the node's code. */
export function checkRateLimit(options: RateLimitOptions<never>, workflow: string, node: string): RateLimitIr {
  return keyed(checkModifier(RateLimit, options, "withRateLimit", workflow, node));
}

export function checkCircuitBreaker(options: CircuitBreakerIr, workflow: string, node: string): CircuitBreakerIr {
  return checkModifier(CircuitBreaker, options, "withCircuitBreaker", workflow, node);
}

const kinds = {
  auth: Auth,
  cache: Cache,
  rateLimit: RateLimit,
  retry: Retry,
  circuitBreaker: CircuitBreaker,
  timeout: Timeout,
} satisfies Record<keyof ProcedurePolicies, z.ZodType>;

/** Throws `invalid_config` naming the procedure and the option. */
export function checkPolicies<P extends ProcedurePolicies>(policies: P, procedure: string): P {
  const what = `procedure "${procedure}"`;
  for (const [kind, options] of Object.entries(policies)) {
    if (!(kind in kinds)) throw unknownKey(`${what}, policies`, kind, Object.keys(kinds));
    if (options !== undefined) check(kinds[kind as keyof typeof kinds], options, `${what}, policies.${kind}`);
  }
  const { auth, cache } = policies;
  if (cache && cache.key === undefined && typeof auth === "object" && auth.allow) {
    throw new TsdevError("invalid_config", {
      message: `${what}, policies.cache: it needs a key, since auth.allow makes the answer depend on who calls`,
      fix: "give cache.key, from the input and the principal: whoever has the same key gets the same output",
      path: "policies.cache.key",
    });
  }
  return policies;
}

function checkModifier<T>(schema: z.ZodType, options: T, modifier: string, workflow: string, node: string): T {
  check(schema, options, `workflow "${workflow}", ${modifier} of "${node}"`);
  return options;
}

function check(schema: z.ZodType, options: unknown, place: string): void {
  const parsed = schema.safeParse(options);
  if (parsed.success) return;
  // A misspelt key comes first: the option that is missing is most likely the one that was meant.
  const issues = parsed.error.issues;
  const issue = deepest(issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0], options);
  if (issue?.code === "unrecognized_keys") throw unknownKey(place, issue.keys[0] ?? "", keysOf(schema));
  const path = issue?.path.join(".") ?? "";
  throw new TsdevError("invalid_config", {
    message: `${place}: ${path} ${issue?.message ?? "wrong value"}`.replace(":  ", ": "),
    fix: "correct the option that the message names",
    ...(path === "" ? {} : { path }),
  });
}

type Issue = z.core.$ZodIssue;

/** Of a union the issue of the option that is an object, where an object was given. */
function deepest(issue: Issue | undefined, options: unknown): Issue | undefined {
  if (issue?.code !== "invalid_union" || typeof options !== "object") return issue;
  return issue.errors.at(-1)?.[0] ?? issue;
}

function keysOf(schema: z.ZodType): string[] {
  const object = schema instanceof z.ZodUnion ? schema.options.find((option) => option instanceof z.ZodObject) : schema;
  return object instanceof z.ZodObject ? Object.keys(object.shape) : [];
}

function unknownKey(place: string, key: string, known: string[]): TsdevError {
  return new TsdevError("invalid_config", {
    message: `${place}: unknown key "${key}"`,
    fix: `did you mean "${nearest(key, known)}"? Known keys: ${known.join(", ")}`,
    path: key,
  });
}

function keyed<T extends { readonly key?: unknown }>(options: T): Omit<T, "key"> & { readonly keyed?: true } {
  const { key, ...others } = options;
  return key === undefined ? others : { ...others, keyed: true };
}
