// The engine in memory: order, scope, policies, errors, and the spans of it all.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { TsdevError } from "../errors.ts";
import type { Log } from "../log.ts";
import { type ProcedureContext, procedure } from "../procedures/procedure.ts";
import type { RunRecord } from "../recorder.ts";
import { workflow } from "../workflows/workflow.ts";
import { openEngine } from "./open-engine.ts";
import { collectSpans } from "./spans.fixture.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
const spans = collectSpans();
const engine = await openEngine({ log: silent });
afterAll(() => engine.close());
beforeEach(() => spans.reset());

const Id = z.object({ id: z.string() });
const unavailable = () => Object.assign(new Error("carrier answered 503"), { status: 503 });

/** A procedure from a function, all over one small contract. */
function step<const N extends string>(
  name: N,
  handler: (ctx: ProcedureContext) => Promise<void> | void,
  parts: { effects?: { reads: string[]; writes: string[] }; idempotent?: boolean } = {},
) {
  return procedure({
    name,
    input: Id,
    output: z.object({}),
    ...parts,
    handler: async (_input, ctx) => {
      await handler(ctx);
      return {};
    },
  });
}

describe("a run", () => {
  test("gives every node what its contract names and ends with the whole scope", async () => {
    const seen: unknown[] = [];
    const load = procedure({
      name: "load",
      input: Id,
      output: z.object({ email: z.string(), total: z.number() }),
      handler: (input) => {
        seen.push(input);
        return { email: `${input.id}@x`, total: 7 };
      },
    });
    const charge = procedure({
      name: "charge",
      input: z.object({ total: z.number() }),
      output: z.object({ receipt: z.string() }),
      handler: (input) => {
        seen.push(input);
        return { receipt: `r${input.total}` };
      },
    });
    const order = workflow("order")
      .input(Id)
      .step(load)
      .step(charge, { as: "first" })
      .step(charge, { as: "second", with: ({ first }) => ({ total: first.receipt.length }) })
      .run("own", async (scope) => ({ both: scope.first.receipt + scope.second.receipt }));
    expect(await engine.execute(order, { id: "a" })).toEqual({
      id: "a",
      email: "a@x",
      total: 7,
      first: { receipt: "r7" },
      second: { receipt: "r2" },
      both: "r7r2",
    });
    expect(seen).toEqual([{ id: "a" }, { total: 7 }, { total: 2 }]);
  });

  test("refuses an input that does not fit before anything runs", async () => {
    const w = workflow("strict")
      .input(Id)
      .step(step("never", () => expect.unreachable()));
    await expect(engine.execute(w, { id: 1 as never })).rejects.toMatchObject({ code: "invalid_input", path: "id" });
  });

  test("runs branches at the same time, and the node after them when all are done", async () => {
    let inside = 0;
    const done: string[] = [];
    const both = Promise.withResolvers<void>();
    const meet = async (ctx: ProcedureContext) => {
      if (++inside === 2) both.resolve();
      // Hangs, and the test with it, unless the two are inside at once.
      await both.promise;
      done.push(ctx.node ?? "");
    };
    const w = workflow("meet")
      .input(Id)
      .parallel([step("left", meet), step("right", meet)])
      .step(step("after", () => void done.push("after")));
    await engine.execute(w, { id: "a" });
    expect(done.slice(0, 2).toSorted()).toEqual(["left", "right"]);
    expect(done[2]).toBe("after");
  });

  test("lets the other branches finish when one fails, then fails and begins no further node", async () => {
    const done: string[] = [];
    const w = workflow("partial")
      .input(Id)
      .parallel([
        step("bad", () => {
          throw new Error("no");
        }),
        step("good", async () => {
          await sleep(20);
          done.push("good");
        }),
      ])
      .step(step("after", () => void done.push("after")));
    await expect(engine.execute(w, { id: "a" })).rejects.toThrow('step "bad" failed after 1 attempt: no');
    expect(done).toEqual(["good"]);
  });

  test("with one id twice is one run, also while it runs, and another input under that id is a conflict", async () => {
    let runs = 0;
    const w = workflow("once")
      .input(Id)
      .step(
        step("count", async () => {
          await sleep(10);
          runs++;
        }),
      );
    const both = await Promise.all([
      engine.execute(w, { id: "a" }, { runId: "once-1" }),
      engine.execute(w, { id: "a" }, { runId: "once-1" }),
    ]);
    await engine.execute(w, { id: "a" }, { runId: "once-1" });
    expect(runs).toBe(1);
    expect(both[0]).toEqual(both[1]);
    await expect(engine.execute(w, { id: "b" }, { runId: "once-1" })).rejects.toMatchObject({ code: "conflict" });
    expect(await engine.run("once-1")).toMatchObject({ state: "done", finishedSteps: ["count"], output: { id: "a" } });
    expect(await engine.run("nothing")).toBeUndefined();
  });

  test("that is canceled stops, also when its step does not mind the signal", async () => {
    const begun = Promise.withResolvers<void>();
    const w = workflow("stuck")
      .input(Id)
      .step(
        step("hang", () => {
          begun.resolve();
          return new Promise<void>(() => {});
        }),
      );
    const abort = new AbortController();
    const run = engine.execute(w, { id: "a" }, { runId: "stuck-1", signal: abort.signal });
    const verdict = expect(run).rejects.toMatchObject({ code: "canceled" });
    await begun.promise;
    abort.abort();
    await verdict;
    expect(await engine.run("stuck-1")).toMatchObject({ state: "canceled", error: { code: "canceled" } });
  });

  test("a key that two nodes write at run time fails the run instead of being overwritten", async () => {
    const w = workflow("clash")
      .input(Id)
      .run("sly", async () => ({ id: "other" }) as object);
    await expect(engine.execute(w, { id: "a" })).rejects.toMatchObject({ code: "step_failed", path: "id" });
  });
});

describe("retry and timeout", () => {
  test("a transient error is tried again with the same key until it heals", async () => {
    const keys = new Set<string>();
    const attempts: number[] = [];
    const w = workflow("heals")
      .input(Id)
      .step(
        step("flaky", (ctx) => {
          keys.add(ctx.idempotencyKey);
          attempts.push(ctx.attempt);
          if (ctx.attempt < 3) throw unavailable();
        }),
      )
      .withRetry({ maxAttempts: 3, initialMs: 1 });
    await engine.execute(w, { id: "a" });
    expect(attempts).toEqual([1, 2, 3]);
    expect(keys.size).toBe(1);
  });

  test("the error of the last attempt names workflow, step, attempts and cause", async () => {
    const w = workflow("ship-it")
      .input(Id)
      .step(
        step("ship", () => {
          throw unavailable();
        }),
      )
      .withRetry({ maxAttempts: 2, initialMs: 1 });
    const error = await engine.execute(w, { id: "a" }).catch((thrown: TsdevError) => thrown);
    expect(error).toMatchObject({
      code: "step_failed",
      message: 'workflow "ship-it": step "ship" failed after 2 attempts: carrier answered 503',
      cause: { status: 503 },
    });
  });

  test("an error that is not transient is not tried again", async () => {
    let attempts = 0;
    const w = workflow("bug")
      .input(Id)
      .step(
        step("bug", () => {
          attempts++;
          throw new TypeError("x is not a function");
        }),
      )
      .withRetry({ maxAttempts: 5, initialMs: 1 });
    await expect(engine.execute(w, { id: "a" })).rejects.toThrow("after 1 attempt:");
    expect(attempts).toBe(1);
  });

  test("a time limit is of each attempt, aborts its signal, and counts as transient", async () => {
    const aborted: boolean[] = [];
    const w = workflow("slow")
      .input(Id)
      .step(
        step("slow", async (ctx) => {
          if (ctx.attempt === 2) return;
          await sleep(5_000, undefined, { signal: ctx.signal }).catch(() => aborted.push(ctx.signal.aborted));
        }),
      )
      .withTimeout({ ms: 20 })
      .withRetry({ maxAttempts: 2, initialMs: 1 });
    await engine.execute(w, { id: "a" });
    expect(aborted).toEqual([true]);
  });

  test("a step that outlives its limit without retry fails with what to do", async () => {
    const w = workflow("late")
      .input(Id)
      .step(step("late", () => new Promise<void>(() => {})))
      .withTimeout({ ms: 10 });
    await expect(engine.execute(w, { id: "a" })).rejects.toMatchObject({
      message:
        'workflow "late": step "late" failed after 1 attempt: step "late" of workflow "late" took longer than 10 ms',
      cause: { code: "timeout" },
    });
  });

  test("on a parallel node a retry is each branch's own", async () => {
    const counts = { left: 0, right: 0 };
    const w = workflow("branches")
      .input(Id)
      .parallel([
        step("left", () => void counts.left++),
        step("right", () => {
          if (++counts.right < 3) throw unavailable();
        }),
      ])
      .withRetry({ maxAttempts: 3, initialMs: 1 });
    await engine.execute(w, { id: "a" });
    expect(counts).toEqual({ left: 1, right: 3 });
  });
});

describe("spans", () => {
  const ship = step(
    "ship",
    (ctx) => {
      if (ctx.attempt === 1) throw unavailable();
    },
    { effects: { reads: ["orders"], writes: ["parcels"] }, idempotent: true },
  );
  const traced = workflow("traced")
    .input(Id)
    .step(ship)
    .withRetry({ maxAttempts: 2, backoff: "fixed", initialMs: 1 })
    .parallel([step("left", () => {}), step("right", () => {})]);

  test("are nested workflow > step > attempt > procedure", async () => {
    await engine.execute(traced, { id: "a" });
    expect(spans.paths().toSorted()).toEqual(
      [
        "workflow traced",
        "workflow traced > step ship",
        "workflow traced > step ship > attempt 1",
        "workflow traced > step ship > attempt 1 > procedure ship",
        "workflow traced > step ship > attempt 2",
        "workflow traced > step ship > attempt 2 > procedure ship",
        ...["left", "right"].flatMap((name) => [
          `workflow traced > step ${name}`,
          `workflow traced > step ${name} > attempt 1`,
          `workflow traced > step ${name} > attempt 1 > procedure ${name}`,
        ]),
      ].toSorted(),
    );
  });

  test("say what analyzers need, by names and never by values", async () => {
    await engine.execute(traced, { id: "secret-value" }, { runId: "traced-1" });
    expect(spans.named("workflow traced")[0]?.attributes).toEqual({
      "tsdev.workflow.name": "traced",
      "tsdev.workflow.version": traced.version,
      "tsdev.workflow.run_id": "traced-1",
      "tsdev.origin.kind": "direct",
    });
    expect(spans.named("step ship")[0]?.attributes).toMatchObject({
      "tsdev.workflow.name": "traced",
      "tsdev.node.id": "ship",
      "tsdev.node.op": "step",
      "tsdev.node.procedure": "ship",
      "tsdev.node.reads": '["id"]',
      "tsdev.node.writes": "[]",
      "code.file.path": expect.stringMatching(/^\/.*engine\.test\.ts$/),
      "code.line.number": expect.any(Number),
    });
    expect(spans.named("step left")[0]?.attributes).toMatchObject({ "tsdev.node.parallel": "left+right" });
    const [first, second] = [spans.named("attempt 1")[0], spans.named("attempt 2")[0]];
    expect(first?.attributes).toMatchObject({
      "tsdev.attempt.number": 1,
      "tsdev.attempt.max": 2,
      "tsdev.attempt.backoff_ms": 1,
      "tsdev.attempt.will_retry": true,
      "tsdev.attempt.exhausted": false,
      "error.type": "http_503",
    });
    expect(first?.events[0]?.name).toBe("exception");
    expect(second?.attributes["tsdev.input.digest"]).toBe(first?.attributes["tsdev.input.digest"]);
    expect(second?.attributes["error.type"]).toBeUndefined();
    expect(spans.named("procedure ship")[0]?.attributes).toMatchObject({
      "tsdev.procedure.effects.reads": '["orders"]',
      "tsdev.procedure.effects.writes": '["parcels"]',
      "tsdev.procedure.idempotent": "true",
      "code.line.number": expect.any(Number),
    });
    expect(spans.named("procedure left")[0]?.attributes["tsdev.procedure.effects.reads"]).toBeUndefined();
    const all = spans.paths().flatMap((path) => spans.named(path.split(" > ").at(-1) ?? ""));
    expect(JSON.stringify(all.map((span) => span.attributes))).not.toContain("secret-value");
  });

  test("of a mapped step and of a function say which keys were read", async () => {
    const w = workflow("reads")
      .input(z.object({ id: z.string(), note: z.string(), other: z.string() }))
      .step(
        step("mapped", () => {}),
        { as: "m", with: ({ note }) => ({ id: note }) },
      )
      .run("own", async ({ other }) => ({ length: other.length }));
    await engine.execute(w, { id: "a", note: "n", other: "o" });
    expect(spans.named("step m")[0]?.attributes).toMatchObject({
      "tsdev.node.reads": '["note"]',
      "tsdev.node.writes": '["m"]',
    });
    expect(spans.named("step own")[0]?.attributes).toMatchObject({
      "tsdev.node.op": "run",
      "tsdev.node.reads": '["other"]',
      "tsdev.node.writes": '["length"]',
    });
  });

  test("of a step that uses up its attempts say so", async () => {
    const w = workflow("exhausted")
      .input(Id)
      .step(
        step("down", () => {
          throw unavailable();
        }),
      );
    await engine.execute(w, { id: "a" }).catch(() => {});
    expect(spans.named("attempt 1")[0]?.attributes).toMatchObject({
      "tsdev.attempt.will_retry": false,
      "tsdev.attempt.exhausted": true,
    });
    expect(spans.named("workflow exhausted")[0]?.attributes["error.type"]).toBe("step_failed");
  });
});

test("a finished run is handed to the recorder, without what its contracts call sensitive", async () => {
  const records: RunRecord[] = [];
  const key = Symbol.for("tsdev.recorder");
  const holder = globalThis as { [key]?: unknown };
  holder[key] = { run: (record: RunRecord) => records.push(record) };
  const card = z.string().meta({ sensitive: true });
  const pay = procedure({
    name: "pay",
    input: z.object({ card }),
    output: z.object({ token: z.string().meta({ sensitive: true }), ok: z.boolean() }),
    handler: ({ card }) => ({ token: `t-${card}`, ok: card !== "bad" }),
  });
  const w = workflow("pay").input(z.object({ card })).step(pay, { as: "payment" });
  const broken = workflow("broken")
    .input(Id)
    .step(
      step("broken", () => {
        throw new Error("no");
      }),
    );
  try {
    await engine.execute(w, { card: "4242" }, { runId: "pay-1" });
    await engine.execute(broken, { id: "x" }, { runId: "broken-1" }).catch(() => {});
  } finally {
    delete holder[key];
  }
  expect(records).toEqual([
    {
      workflow: "pay",
      runId: "pay-1",
      input: { card: "[redacted]" },
      output: { card: "[redacted]", payment: { token: "[redacted]", ok: true } },
      failed: false,
    },
    { workflow: "broken", runId: "broken-1", input: { id: "x" }, output: null, failed: true },
  ]);
});

test("an engine without a database says once that its runs are in memory", async () => {
  const said: string[] = [];
  const other = await openEngine({ log: { ...silent, info: (message) => void said.push(message) } });
  const w = workflow("one")
    .input(Id)
    .step(step("one", () => {}));
  await other.execute(w, { id: "a" });
  await other.execute(w, { id: "a" });
  await other.close();
  expect(said.filter((line) => line.includes("in memory"))).toHaveLength(1);
  await expect(other.execute(w, { id: "a" })).rejects.toMatchObject({ code: "unavailable" });
});
