// Options of policies: a wrong one fails where it is declared, by name.
import { expect, test } from "vitest";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import { checkCache, checkCircuitBreaker, checkRateLimit, checkRetry } from "./check-policy.ts";

const declare = (policies: object) =>
  procedure({ name: "pay", input: z.object({}), output: z.object({}), policies, handler: () => ({}) });

test.each<[string, object, string, string]>([
  ["an unknown policy", { retries: {} }, 'unknown key "retries"', 'did you mean "retry"?'],
  ["an unknown option", { retry: { maxAttempt: 3 } }, 'policies.retry: unknown key "maxAttempt"', 'mean "maxAttempts"'],
  ["an unknown option of auth", { auth: { role: ["a"] } }, 'policies.auth: unknown key "role"', 'mean "roles"'],
  ["a number out of range", { retry: { maxAttempts: 0 } }, "policies.retry: maxAttempts", "correct"],
  ["a share above one", { retry: { maxAttempts: 2, budget: 20 } }, "policies.retry: budget", "correct"],
  ["no number", { timeout: { ms: "5s" } }, "policies.timeout: ms", "correct"],
  [
    "a key that is no function",
    { cache: { ttlMs: 1, key: "id" } },
    "policies.cache: key must be a function",
    "correct",
  ],
  ["a limit of nothing", { rateLimit: { limit: 0, perMs: 1 } }, "policies.rateLimit: limit", "correct"],
  ["a breaker without its rest", { circuitBreaker: { failures: 2 } }, "policies.circuitBreaker: openMs", "correct"],
  [
    "a cache without a key beside allow",
    { cache: { ttlMs: 1 }, auth: { allow: () => true } },
    "needs a key",
    "cache.key",
  ],
])("%s", (_what, policies, message, fix) => {
  expect(() => declare(policies)).toThrow(
    expect.objectContaining({
      code: "invalid_config",
      message: expect.stringMatching(/^procedure "pay"/),
      fix: expect.stringContaining(fix),
    }),
  );
  expect(() => declare(policies)).toThrow(message);
});

test("right ones are taken", () => {
  declare({
    auth: { roles: ["admin"], allow: () => true },
    cache: { ttlMs: 1, staleMs: 2, key: () => "k" },
    rateLimit: { limit: 1, perMs: 1_000, key: () => "k" },
    retry: { maxAttempts: 3, backoff: "fixed", initialMs: 0, maxMs: 1, on: ["any"], budget: 0.2 },
    circuitBreaker: { failures: 1, openMs: 1 },
    timeout: { ms: 0.5 },
  });
  declare({ auth: true, cache: { ttlMs: 1 } });
});

test("a step's options name workflow and node, and keys become a mark in the IR", () => {
  const wrong = () => checkRetry({ maxAttempts: -1 }, "orders", "charge");
  expect(wrong).toThrow(/^workflow "orders", withRetry of "charge": maxAttempts/);
  expect(checkCache({ ttlMs: 5, key: () => "k" }, "w", "n")).toEqual({ ttlMs: 5, keyed: true });
  expect(checkRateLimit({ limit: 1, perMs: 5 }, "w", "n")).toEqual({ limit: 1, perMs: 5 });
  expect(() => checkCircuitBreaker({ failures: 1 } as never, "w", "n")).toThrow("openMs");
});
