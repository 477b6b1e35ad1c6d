// Policies on steps of real runs: the engine uses the same parts as a call.
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { openEngine } from "../engine/open-engine.ts";
import { collectSpans } from "../engine/spans.fixture.ts";
import { type AnyProcedure, type Principal, procedure } from "../procedures/procedure.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import { workflow } from "../workflows/workflow.ts";
import type { ProcedurePolicies } from "./policies.ts";

const engine = await openEngine();
afterAll(() => engine.close());

function counted(policies: ProcedurePolicies = {}) {
  const state = { ran: 0, failing: false, keys: new Set<string>() };
  const it = procedure({
    name: "counted",
    input: z.object({ n: z.number() }),
    output: z.object({ ran: z.number() }),
    errors: { sold_out: { status: 409 } },
    policies,
    handler: async ({ n }, ctx) => {
      state.ran += 1;
      state.keys.add(ctx.idempotencyKey);
      if (n < 0) throw ctx.fail("sold_out");
      if (state.failing) throw Object.assign(new Error("down"), { code: "ECONNRESET" });
      return { ran: state.ran };
    },
  });
  return { it, state };
}
const flow = (it: AnyProcedure & ReturnType<typeof counted>["it"], name = "policies") =>
  workflow(name)
    .input(z.object({ n: z.number() }))
    .step(it);
const run = (it: AnyWorkflow, n = 1, principal?: Principal) =>
  engine.execute(it, { n } as never, principal ? { principal } : {}) as Promise<{ ran: number }>;

test("a step whose procedure fails by name fails the run with that cause, without a tracer too", async () => {
  const { it } = counted();
  await expect(run(flow(it), -1)).rejects.toMatchObject({ code: "step_failed", cause: { code: "sold_out" } });
});

test("the step's retry stands in the place of the procedure's, with one idempotency key", async () => {
  const { it, state } = counted({ retry: { maxAttempts: 3, initialMs: 0 } });
  state.failing = true;
  const again = flow(it).withRetry({ maxAttempts: 2, backoff: "fixed", initialMs: 0 });
  await expect(run(again)).rejects.toMatchObject({ code: "step_failed" });
  expect([state.ran, state.keys.size]).toEqual([2, 1]);
  await expect(run(flow(it))).rejects.toMatchObject({ code: "step_failed" });
  expect(state.ran).toBe(5);
});

test("runs share the cache of a step, and its breaker", async () => {
  const { it, state } = counted();
  const cached = flow(it).withCache({ ttlMs: 60_000 });
  expect((await Promise.all([run(cached), run(cached), run(cached)])).map(({ ran }) => ran)).toEqual([1, 1, 1]);
  expect((await run(cached, 2)).ran).toBe(2);
  const guarded = flow(it).withCircuitBreaker({ failures: 1, openMs: 60_000 });
  state.failing = true;
  await expect(run(guarded)).rejects.toMatchObject({ cause: { code: "ECONNRESET" } });
  await expect(run(guarded)).rejects.toMatchObject({ cause: { code: "circuit_open" } });
});

test("a step waits for its place within the limit and is not refused", async () => {
  const { it } = counted();
  const limited = flow(it).withRateLimit({ limit: 1, perMs: 30 });
  const began = performance.now();
  await Promise.all([run(limited), run(limited), run(limited)]);
  expect(performance.now() - began).toBeGreaterThanOrEqual(59);
});

test("a procedure's auth holds in a run, for whoever began it", async () => {
  const { it } = counted({ auth: { roles: ["admin"] } });
  await expect(run(flow(it))).rejects.toMatchObject({ cause: { code: "unauthenticated" } });
  await expect(run(flow(it), 1, { id: "bob" })).rejects.toMatchObject({ cause: { code: "forbidden" } });
  expect(await run(flow(it), 1, { id: "ada", roles: ["admin"] })).toMatchObject({ ran: 1 });
});

test("a step that does not mind its signal is over after its time", async () => {
  const stuck = workflow("stuck")
    .input(z.object({ n: z.number() }))
    .run("wait", () => new Promise<{ a: number }>(() => {}))
    .withTimeout({ ms: 5 });
  await expect(run(stuck)).rejects.toMatchObject({ cause: { code: "timeout" } });
});

// Last: a tracer stays for the whole file.
test("the step's span tells what the cache did", async () => {
  const spans = collectSpans();
  const cached = flow(counted().it).withCache({ ttlMs: 60_000 });
  await run(cached);
  await run(cached);
  expect(spans.named("step counted").map((span) => span.attributes["tsdev.cache.result"])).toEqual(["miss", "hit"]);
});
