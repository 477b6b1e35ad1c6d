// Retry: which errors, how long, and how many in a storm.
import { expect, test } from "vitest";
import { TsdevError } from "../errors.ts";
import { DeclaredError } from "../procedures/declared-error.ts";
import { Retries, RetryBudget, shouldRetry } from "./retry.ts";
import { retryAfterOf } from "./retry-after.ts";

const signal = new AbortController().signal;
const withFields = (fields: object) => Object.assign(new Error("m"), fields);
const tsdev = (code: ConstructorParameters<typeof TsdevError>[0]) => new TsdevError(code, { message: "m", fix: "f" });
const declared = (status: number) => new DeclaredError("gone", { status, data: undefined, procedure: "p" });
const reset = withFields({ code: "ECONNRESET" });

test.each<[string, readonly string[] | undefined, unknown, boolean]>([
  ["a transient error by default", undefined, reset, true],
  ["another error by default", undefined, new Error("m"), false],
  ["an error by its code", ["23505"], withFields({ code: "23505" }), true],
  ["an error by its status", ["http_404"], withFields({ status: 404 }), true],
  ["an error by its class", ["RangeError"], new RangeError("m"), true],
  ["a class that is not on the list", ["RangeError"], reset, false],
  ["transient beside a class", ["RangeError", "transient"], reset, true],
  ["any", ["any"], new Error("m"), true],
  ["a thrown text, of any", ["any"], "oops", true],
  ["invalid_input, not even of any", ["any", "invalid_input"], tsdev("invalid_input"), false],
  ["invalid_output, not even of any", ["any"], tsdev("invalid_output"), false],
  ["canceled, not even of any", ["any"], tsdev("canceled"), false],
  ["retryable: false, not even of any", ["any"], withFields({ retryable: false }), false],
  ["circuit_open by default", undefined, tsdev("circuit_open"), false],
  ["circuit_open where it is named", ["circuit_open"], tsdev("circuit_open"), true],
  ["a declared error by default", undefined, declared(409), false],
  ["a declared error whose status says that it may pass", undefined, declared(503), true],
  ["a declared error by its code", ["gone"], declared(409), true],
])("%s", (_what, on, error, again) => {
  expect(shouldRetry(on ? { on } : undefined, error)).toBe(again);
});

test("waits at least as long as the error asks for, and not at all when that is too long", () => {
  const retry = { maxAttempts: 3, backoff: "fixed", initialMs: 100 } as const;
  const waitAfter = (error: unknown) => new Retries(retry, undefined).after(error, 1, signal);
  expect(waitAfter(reset)).toEqual({ again: true, waitMs: 100, exhausted: false });
  expect(waitAfter(withFields({ status: 503, retryAfterMs: 5_000 }))).toMatchObject({ again: true, waitMs: 5_000 });
  expect(waitAfter(withFields({ status: 503, retryAfterMs: 5 }))).toMatchObject({ again: true, waitMs: 100 });
  expect(waitAfter(withFields({ status: 503, retryAfterMs: 86_400_000 }))).toMatchObject({
    again: false,
    exhausted: true,
  });
});

test("waits as long as the policy says, however long that is", () => {
  const retries = new Retries({ maxAttempts: 3, backoff: "fixed", initialMs: 86_400_000 }, undefined);
  expect(retries.after(reset, 1, signal)).toEqual({ again: true, waitMs: 86_400_000, exhausted: false });
});

test("a call that is carried on after an attempt is counted into the budget once", () => {
  const budget = new RetryBudget(0.5);
  const retry = { maxAttempts: 99, initialMs: 0 };
  const again = () => new Retries(retry, budget, true).after(reset, 1, signal).again;
  for (let call = 0; call < 30; call++) new Retries(retry, budget);
  const spent = Array.from({ length: 30 }, again).filter(Boolean);
  expect(spent).toHaveLength(15);
});

test("reads Retry-After where libraries leave it", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  const asked = (fields: object) => retryAfterOf(withFields(fields), now);
  expect(asked({ headers: new Headers({ "retry-after": "3" }) })).toBe(3_000);
  expect(asked({ headers: { "Retry-After": "1.5" } })).toBe(1_500);
  expect(asked({ response: new Response("", { headers: { "retry-after": "Thu, 01 Jan 2026 00:00:07 GMT" } }) })).toBe(
    7_000,
  );
  expect(asked({ headers: { "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" } })).toBe(0);
  expect(asked({ headers: { "retry-after": "soon" } })).toBeUndefined();
  expect(asked({ cause: { retryAfterMs: 4 } })).toBe(4);
  expect(retryAfterOf("text")).toBeUndefined();
});

test("no attempt is left after the last, nor when the caller has gone", () => {
  const retries = new Retries({ maxAttempts: 2 }, undefined);
  expect(retries.after(reset, 1, AbortSignal.abort())).toMatchObject({ again: false, exhausted: false });
  expect(retries.after(reset, 1, signal).again).toBe(true);
  expect(retries.after(reset, 2, signal)).toEqual({ again: false, waitMs: 0, exhausted: true });
});

test("in a storm the budget holds retries to its share, whatever maxAttempts allows", () => {
  const clock = { now: 0 };
  const budget = new RetryBudget(0.2, () => clock.now);
  let attempts = 0;
  for (let n = 0; n < 1_000; n++) {
    clock.now = n;
    const retries = new Retries({ maxAttempts: 10, initialMs: 0 }, budget);
    for (let attempt = 1; ; attempt++) {
      attempts += 1;
      if (!retries.after(reset, attempt, signal).again) break;
    }
  }
  expect(attempts).toBeGreaterThan(1_190);
  expect(attempts).toBeLessThanOrEqual(1_200);
});

test("a few retries are always within the budget, and those of ten seconds ago are forgotten", () => {
  const clock = { now: 0 };
  const budget = new RetryBudget(0, () => clock.now);
  const spend = () => Array.from({ length: 20 }, () => budget.retry()).filter(Boolean).length;
  budget.call();
  expect(spend()).toBe(10);
  clock.now = 9_000;
  expect(spend()).toBe(0);
  clock.now = 11_000;
  expect(spend()).toBe(10);
});
