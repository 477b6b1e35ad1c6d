// Policies around calls and steps: their order, whose policy counts, and what they share.
import { expect, test } from "vitest";
import { z } from "zod";
import { collectSpans } from "../engine/spans.fixture.ts";
import type { PoliciesIr } from "../ir/ir.ts";
import { call } from "../procedures/call.ts";
import { type Principal, procedure } from "../procedures/procedure.ts";
import { type EffectivePolicies, effectivePolicies } from "./effective-policies.ts";
import type { ProcedurePolicies } from "./policies.ts";

const spans = collectSpans();

const ada: Principal = { id: "ada", roles: ["admin"] };
const bob: Principal = { id: "bob", roles: ["reader"] };
const down = Object.assign(new Error("down"), { code: "ECONNRESET" });

/** A procedure that answers how often it ran, and fails as long as `failing` says. */
function counted(policies: ProcedurePolicies<{ n: number }>) {
  const state = { ran: 0, failing: false, signals: [] as AbortSignal[] };
  const it = procedure({
    name: "counted",
    input: z.object({ n: z.string().transform(Number) }),
    output: z.object({ ran: z.number() }),
    policies,
    handler: async (_input, ctx) => {
      state.ran += 1;
      state.signals.push(ctx.signal);
      if (state.failing) throw down;
      return { ran: state.ran };
    },
  });
  return { it, state };
}

/** What the engine does for a step, without its spans and rows. */
async function step(policies: EffectivePolicies, made: () => Promise<unknown>): Promise<unknown> {
  const asked = { input: { n: "1" }, principal: undefined, signal: new AbortController().signal };
  await policies.authorize(asked);
  const { output } = await policies.cached(asked, async (signal) => {
    await policies.reserve(asked);
    const retries = policies.retries();
    for (let attempt = 1; ; attempt++) {
      try {
        return await policies.guarded(signal, made);
      } catch (error) {
        if (!retries.after(error, attempt, signal).again) throw error;
      }
    }
  });
  return output;
}
const place = (node: PoliciesIr, code = {}) => ({ workflow: "w", node: { id: "s", ...node }, code });

test("auth: nobody, the wrong role, the wrong one; a stranger is not told of the contract", async () => {
  const { it, state } = counted({ auth: { roles: ["admin"], allow: (who, { n }) => who.id !== "eve" && n === 1 } });
  await expect(call(it, "no object" as never)).rejects.toMatchObject({ code: "unauthenticated" });
  await expect(call(it, "no object" as never, { principal: bob })).rejects.toMatchObject({ code: "forbidden" });
  await expect(call(it, { n: "2" }, { principal: ada })).rejects.toMatchObject({ code: "forbidden" });
  await expect(call(it, "no object" as never, { principal: ada })).rejects.toMatchObject({ code: "invalid_input" });
  expect(state.ran).toBe(0);
  expect(await call(it, { n: "1" }, { principal: ada })).toEqual({ ran: 1 });
});

test("an allow that answers nothing has not allowed", async () => {
  const { it } = counted({ auth: { allow: (() => undefined) as never } });
  await expect(call(it, { n: "1" }, { principal: ada })).rejects.toMatchObject({ code: "forbidden" });
});

test("auth comes before the cache, and the cache before the limit", async () => {
  const { it } = counted({
    auth: true,
    cache: { ttlMs: 60_000, key: () => "k" },
    rateLimit: { limit: 1, perMs: 60_000 },
  });
  expect(await call(it, { n: "1" }, { principal: ada })).toEqual({ ran: 1 });
  expect(await call(it, { n: "1" }, { principal: bob })).toEqual({ ran: 1 });
  await expect(call(it, { n: "1" })).rejects.toMatchObject({ code: "unauthenticated" });
});

test("without a key nobody gets what was made for another, and inputs that differ have outputs of their own", async () => {
  const { it } = counted({ cache: { ttlMs: 60_000 } });
  expect(await call(it, { n: "1" }, { principal: ada })).toEqual({ ran: 1 });
  expect(await call(it, { n: "1" }, { principal: bob })).toEqual({ ran: 2 });
  expect(await call(it, { n: "2" }, { principal: ada })).toEqual({ ran: 3 });
  expect(await call(it, { n: "1" })).toEqual({ ran: 4 });
  expect(await call(it, { n: "1" }, { principal: ada })).toEqual({ ran: 1 });
});

test("keys see the input as the contract makes it, and who calls", async () => {
  const seen: unknown[] = [];
  const { it } = counted({
    cache: { ttlMs: 60_000, key: ({ n }, who) => [seen.push(n, who?.id), n].join() },
    rateLimit: { limit: 1, perMs: 60_000, key: ({ n }) => String(n) },
  });
  await call(it, { n: "7" }, { principal: ada });
  expect(seen).toEqual([7, "ada"]);
  await call(it, { n: "8" });
});

test("the limit counts calls, and not attempts", async () => {
  const { it, state } = counted({
    rateLimit: { limit: 2, perMs: 60_000 },
    retry: { maxAttempts: 3, backoff: "fixed", initialMs: 0 },
  });
  state.failing = true;
  await expect(call(it, { n: "1" })).rejects.toThrow("down");
  await expect(call(it, { n: "1" })).rejects.toThrow("down");
  expect(state.ran).toBe(6);
  await expect(call(it, { n: "1" })).rejects.toMatchObject({ code: "rate_limited", retryAfterMs: expect.any(Number) });
  expect(state.ran).toBe(6);
});

test("the breaker counts attempts, and an open one ends the retries", async () => {
  const { it, state } = counted({
    retry: { maxAttempts: 10, backoff: "fixed", initialMs: 0 },
    circuitBreaker: { failures: 3, openMs: 60_000 },
  });
  state.failing = true;
  await expect(call(it, { n: "1" })).rejects.toMatchObject({ code: "circuit_open" });
  expect(state.ran).toBe(3);
});

test("each attempt has the whole time, whether or not the handler minds its signal, which says why", async () => {
  const signals: AbortSignal[] = [];
  const stuck = procedure({
    name: "stuck",
    input: z.object({}),
    output: z.object({}),
    policies: { timeout: { ms: 5 }, retry: { maxAttempts: 3, backoff: "fixed", initialMs: 0 } },
    handler: (_input, ctx) => {
      signals.push(ctx.signal);
      return new Promise(() => {});
    },
  });
  await expect(call(stuck, {})).rejects.toMatchObject({ code: "timeout", message: expect.stringContaining("stuck") });
  expect(signals.map((signal) => signal.reason?.code)).toEqual(["timeout", "timeout", "timeout"]);
});

test("a handler that fails by the abort of its signal has timed out, and so has one that is slow to notice", async () => {
  const minding = procedure({
    name: "minding",
    input: z.object({}),
    output: z.object({}),
    policies: { timeout: { ms: 5 } },
    handler: (_input, { signal }) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("its own words")))),
  });
  await expect(call(minding, {})).rejects.toMatchObject({ code: "timeout" });
});

test("whoever gives up is not waited for, and is not tried again", async () => {
  const caller = new AbortController();
  const { it, state } = counted({ retry: { maxAttempts: 5, initialMs: 60_000, backoff: "fixed" } });
  state.failing = true;
  const asked = call(it, { n: "1" }, { signal: caller.signal });
  while (state.ran === 0) await new Promise(setImmediate);
  caller.abort(new Error("gone"));
  await expect(asked).rejects.toThrow("gone");
  expect(state.ran).toBe(1);
});

test("a handler that changes its input does not change that of the next attempt", async () => {
  const seen: number[] = [];
  const changing = procedure({
    name: "changing",
    input: z.object({ n: z.number() }),
    output: z.object({}),
    policies: { retry: { maxAttempts: 2, on: ["any"], backoff: "fixed", initialMs: 0 } },
    handler: (input) => {
      seen.push(input.n++);
      throw new Error("m");
    },
  });
  await call(changing, { n: 1 }).catch(() => {});
  expect(seen).toEqual([1, 1]);
});

test("a step's policy stands in the place of the procedure's own: three attempts, and not nine", async () => {
  const { it } = counted({ retry: { maxAttempts: 3 }, timeout: { ms: 5 } });
  const policies = effectivePolicies(it, place({ retry: { maxAttempts: 3, initialMs: 0 } }));
  let made = 0;
  await step(policies, () => {
    made += 1;
    return Promise.reject(down);
  }).catch(() => {});
  expect(made).toBe(3);
  await expect(step(policies, () => new Promise(() => {}))).rejects.toMatchObject({ code: "timeout" });
});

test("a step shares what it inherits with the procedure, and has a state of its own for what it declares", async () => {
  const { it, state } = counted({ circuitBreaker: { failures: 1, openMs: 60_000 } });
  state.failing = true;
  await call(it, { n: "1" }).catch(() => {});
  await expect(step(effectivePolicies(it, place({})), async () => 1)).rejects.toMatchObject({ code: "circuit_open" });
  const own = place({ circuitBreaker: { failures: 1, openMs: 60_000 } });
  expect(await step(effectivePolicies(it, own), async () => 1)).toBe(1);
});

test("runs that bring an IR of their own share the state of a step; a branch takes from the parallel around it", async () => {
  const code = {};
  const policies = () =>
    effectivePolicies(undefined, { ...place({}, code), around: { circuitBreaker: { failures: 2, openMs: 60_000 } } });
  const failing = () => step(policies(), () => Promise.reject(down)).catch((error) => error.code);
  expect([await failing(), await failing(), await failing()]).toEqual(["ECONNRESET", "ECONNRESET", "circuit_open"]);
});

test("a step's cache and limit have keys of the step's own", async () => {
  const code = { cacheKey: (input: unknown) => (input as { n: string }).n };
  const policies = effectivePolicies(undefined, place({ cache: { ttlMs: 60_000, keyed: true } }, code));
  let made = 0;
  const make = async () => ++made;
  expect([await step(policies, make), await step(policies, make)]).toEqual([1, 1]);
  const limited = effectivePolicies(undefined, place({ rateLimit: { limit: 1, perMs: 60_000 } }, {}));
  const asked = { input: {}, principal: undefined, signal: new AbortController().signal };
  expect(await limited.reserve(asked)).toBe(0);
  expect(await limited.reserve(asked)).toBeGreaterThan(50_000);
});

test("spans tell what the cache did, and the number of each attempt", async () => {
  const { it, state } = counted({
    cache: { ttlMs: 60_000 },
    retry: { maxAttempts: 2, backoff: "fixed", initialMs: 0 },
  });
  spans.reset();
  state.failing = true;
  await call(it, { n: "1" }).catch(() => {});
  state.failing = false;
  await call(it, { n: "1" });
  await call(it, { n: "1" });
  const told = spans
    .named("procedure counted")
    .map(({ attributes }) => [
      attributes["tsdev.cache.result"],
      attributes["tsdev.attempt.number"],
      attributes["error.type"],
    ]);
  expect(told).toEqual([
    ["miss", 1, "ECONNRESET"],
    ["miss", 2, "ECONNRESET"],
    ["miss", 1, undefined],
    ["hit", undefined, undefined],
  ]);
});

test("two inputs whose files differ have two outputs in a cache without a key", async () => {
  let ran = 0;
  const measure = procedure({
    name: "measure",
    input: z.object({ files: z.array(z.file()) }),
    output: z.object({ text: z.string() }),
    policies: { cache: { ttlMs: 60_000 } },
    handler: async ({ files: [file] }) => {
      ran += 1;
      return { text: await file!.text() };
    },
  });
  const ask = (text: string) => call(measure, { files: [new File([text], "a.txt")] });
  expect(await ask("one")).toEqual({ text: "one" });
  expect(await ask("two")).toEqual({ text: "two" });
  expect(await ask("one")).toEqual({ text: "one" });
  expect(ran).toBe(2);
});
