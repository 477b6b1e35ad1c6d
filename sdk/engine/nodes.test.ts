// Every node of a workflow, in memory and on Postgres: what it adds, what it waits for, how it fails, what is undone.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { type ProcedureContext, procedure } from "../procedures/procedure.ts";
import { event } from "../workflows/event.ts";
import { workflow } from "../workflows/workflow.ts";
import type { Engine, RunStatus } from "./engine.ts";
import { openEngine } from "./open-engine.ts";
import { type PostgresFixture, startPostgres } from "./postgres.fixture.ts";
import type { RunEvent } from "./run-event.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.stop());

const Id = z.object({ id: z.string() });
let names = 0;
/** Ids that no other test uses, since the durable engine keeps them. */
const unique = (prefix: string) => `${prefix}-${++names}`;

function step<const N extends string, T>(name: N, fn: (ctx: ProcedureContext) => T | Promise<T>) {
  return procedure({
    name,
    input: Id,
    output: z.object({ [name]: z.any() } as Record<N, z.ZodAny>),
    handler: async (_input, ctx) => ({ [name]: await fn(ctx) }) as never,
  });
}

async function until<T>(probe: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    const value = await probe();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe.each(["memory", "postgres"] as const)("%s", (kind) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ ...(kind === "postgres" ? { databaseUrl: postgres.url } : {}), log: silent });
  });
  afterAll(() => engine.close());

  const inState = (runId: string, state: RunStatus["state"]) =>
    until(async () => {
      const run = await engine.run(runId);
      return run?.state === state ? run : undefined;
    });
  const eventsOf = async (runId: string): Promise<RunEvent[]> => {
    const all: RunEvent[] = [];
    for await (const one of engine.events(runId)) all.push(one);
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_one, index) => index + 1));
    return all;
  };
  const told = async (runId: string) =>
    (await eventsOf(runId)).map((one) => ("node" in one ? `${one.type} ${one.node}` : one.type));

  describe("decisions", () => {
    test("when takes one branch, and keys of the branch are there after it", async () => {
      const w = workflow("when")
        .input(z.object({ total: z.number() }))
        .when(
          "is-large",
          ({ total }) => total > 100,
          (then) => then.run("large", () => ({ size: "large" })),
          (otherwise) => otherwise.run("small", () => ({ size: "small" })),
        );
      const runId = unique("when");
      expect(await engine.execute(w, { total: 200 }, { runId })).toEqual({ total: 200, size: "large" });
      expect(await engine.execute(w, { total: 2 })).toEqual({ total: 2, size: "small" });
      expect(await told(runId)).toEqual(["run.started", "decided is-large", "step.finished large", "run.done"]);
    });

    test("match takes the branch of the value", async () => {
      const w = workflow("match")
        .input(z.object({ type: z.enum(["a", "b"]) }))
        .match("kind", ({ type }) => type, {
          a: (branch) => branch.run("do-a", () => ({ did: "a" })),
          b: (branch) => branch.run("do-b", () => ({ did: "b" })),
        });
      expect(await engine.execute(w, { type: "b" })).toEqual({ type: "b", did: "b" });
    });

    test("a decision that throws fails the run and names the node", async () => {
      const w = workflow("throws")
        .input(Id)
        .when(
          "broken",
          () => {
            throw new Error("no idea");
          },
          (then) => then.run("never", () => ({})),
        );
      await expect(engine.execute(w, { id: "a" })).rejects.toMatchObject({
        code: "step_failed",
        message: expect.stringContaining('"broken"'),
      });
    });
  });

  describe("each", () => {
    test("runs the body for every item with its index, at most so many at once, and keeps their order", async () => {
      let inside = 0;
      let most = 0;
      const w = workflow("each")
        .input(z.object({ pages: z.array(z.number()), factor: z.number() }))
        .each(
          "texts",
          ({ pages }) => pages,
          (item) =>
            item.run("double", async ({ item, index, factor }) => {
              most = Math.max(most, ++inside);
              await new Promise((resolve) => setTimeout(resolve, 5 * ((index * 7) % 3)));
              inside--;
              return { text: `${index}:${item * factor}` };
            }),
          { concurrency: 3 },
        )
        .run("count", ({ texts }) => ({ count: texts.length }));
      const runId = unique("each");
      const output = await engine.execute(w, { pages: [1, 2, 3, 4, 5, 6, 7], factor: 2 }, { runId });
      expect(output.texts).toEqual([1, 2, 3, 4, 5, 6, 7].map((page, index) => ({ text: `${index}:${page * 2}` })));
      expect(output.count).toBe(7);
      expect(most).toBe(3);
      expect((await engine.run(runId))?.finishedSteps).toContain("texts[6]/double");
    });

    test("of no items adds an empty list", async () => {
      const w = workflow("none")
        .input(Id)
        .each(
          "list",
          () => [],
          (item) => item.run("never", () => ({})),
        );
      expect(await engine.execute(w, { id: "a" })).toEqual({ id: "a", list: [] });
    });

    test("fails with its item's path, begins no further item, and items inside others have paths of both", async () => {
      const begun: string[] = [];
      const w = workflow("nested")
        .input(Id)
        .each(
          "outer",
          () => [0, 1, 2],
          (outer) =>
            outer.each(
              "inner",
              ({ item }) => [item * 10, item * 10 + 1],
              (inner) =>
                inner.run("leaf", ({ item }, ctx) => {
                  begun.push(ctx.node!);
                  if (item === 11) throw new Error("eleven");
                  return { value: item };
                }),
            ),
        );
      await expect(engine.execute(w, { id: "a" })).rejects.toThrow(
        'step "outer[1]/inner[1]/leaf" failed after 1 attempt',
      );
      expect(begun).toEqual([
        "outer[0]/inner[0]/leaf",
        "outer[0]/inner[1]/leaf",
        "outer[1]/inner[0]/leaf",
        "outer[1]/inner[1]/leaf",
      ]);
    });

    test("with collect goes on when an item fails and tells which", async () => {
      const w = workflow("collect")
        .input(Id)
        .each(
          "results",
          () => [1, 2, 3],
          (body) =>
            body.run("odd", ({ item }) => {
              if (item === 2) throw new Error("even");
              return { value: item };
            }),
          { concurrency: 2, onError: "collect" },
        );
      expect((await engine.execute(w, { id: "a" })).results).toEqual([
        { ok: true, value: { value: 1 } },
        { ok: false, error: { code: "step_failed", message: expect.stringContaining("even") } },
        { ok: true, value: { value: 3 } },
      ]);
    });
  });

  describe("repeat", () => {
    test("goes on until it is over, with a pause between rounds, and adds the last round's keys", async () => {
      const w = workflow("repeat")
        .input(Id)
        .repeat(
          "poll",
          (round) => round.run("check", ({ round }) => ({ status: round === 2 ? "ready" : "busy", seen: round })),
          { until: ({ status }) => status === "ready", maxTimes: 5, everyMs: 1 },
        );
      const runId = unique("repeat");
      expect(await engine.execute(w, { id: "a" }, { runId })).toEqual({ id: "a", status: "ready", seen: 2 });
      expect((await engine.run(runId))?.finishedSteps).toEqual(["poll[0]/check", "poll[1]/check", "poll[2]/check"]);
    });

    test("fails when it is not over after so many rounds", async () => {
      const w = workflow("endless")
        .input(Id)
        .repeat("poll", (round) => round.run("check", () => ({ x: 1 })), { until: () => false, maxTimes: 3 });
      await expect(engine.execute(w, { id: "a" })).rejects.toThrow('"poll" was not over after 3 rounds');
    });
  });

  describe("timers", () => {
    test("a short sleep stays here, a long one gives the run up until it is due", async () => {
      const w = workflow("sleeps")
        .input(Id)
        .sleep("short", { ms: 5 })
        .sleep("long", { ms: 1_100 })
        .run("after", () => ({ done: true }));
      const runId = unique("sleep");
      await engine.start(w, { id: "a" }, { runId });
      const waiting = await inState(runId, "waiting");
      expect(waiting.waits).toEqual([{ kind: "timer", node: "long", wakeAt: expect.any(Date) }]);
      await inState(runId, "done");
      expect(await told(runId)).toEqual([
        "run.started",
        "timer.set short",
        "timer.set long",
        "run.waiting",
        "step.finished after",
        "run.done",
      ]);
    });

    test("a time that has passed is no wait, and one that is no date fails", async () => {
      const due = (value: unknown) =>
        workflow("until")
          .input(Id)
          .sleep("due", { until: () => value as Date });
      expect(await engine.execute(due(new Date(0)), { id: "a" })).toEqual({ id: "a" });
      await expect(engine.execute(due("soon"), { id: "a" })).rejects.toThrow("gave no date");
    });

    test("a delayed run is queued until then", async () => {
      const w = workflow("delayed")
        .input(Id)
        .run("now", () => ({ at: Date.now() }));
      const began = Date.now();
      const runId = unique("delayed");
      await engine.start(w, { id: "a" }, { runId, delayMs: 300 });
      expect((await engine.run(runId))?.state).toBe("queued");
      const { output } = await inState(runId, "done");
      expect((output as { at: number }).at - began).toBeGreaterThanOrEqual(295);
    });
  });

  describe("events", () => {
    const paid = event({
      name: "paid",
      payload: z.object({ orderId: z.string(), amount: z.number(), at: z.coerce.date() }),
      key: ({ orderId }) => orderId,
    });
    const waits = workflow("waits")
      .input(z.object({ orderId: z.string() }))
      .waitFor("payment", paid, { key: ({ orderId }) => orderId });

    test("a run gets the first event of its key that was published after it began", async () => {
      const orderId = unique("order");
      await engine.publish(paid, { orderId, amount: 0, at: new Date(0) });
      const runId = unique("waits");
      await engine.start(waits, { orderId }, { runId });
      const waiting = await inState(runId, "waiting");
      expect(waiting.waits).toEqual([{ kind: "event", node: "payment", event: "paid", key: orderId }]);
      await engine.publish(paid, { orderId: "another", amount: 1, at: new Date(1) });
      await engine.publish(paid, { orderId, amount: 2, at: new Date(2) }, { id: `${orderId}-2` });
      await engine.publish(paid, { orderId, amount: 3, at: new Date(3) });
      const done = await inState(runId, "done");
      expect(done.output).toEqual({ orderId, payment: { orderId, amount: 2, at: new Date(2) } });
      expect(await told(runId)).toEqual(["run.started", "run.waiting", "event.received payment", "run.done"]);
    });

    test("an event that came before the wait counts, once, and two waits get two events", async () => {
      const orderId = unique("order");
      const begun = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      const w = workflow("waits-twice")
        .input(z.object({ orderId: z.string() }))
        .run("busy", async () => {
          begun.resolve();
          await goOn.promise;
          return {};
        })
        .waitFor("first", paid, { key: ({ orderId }) => orderId })
        .waitFor("second", paid, { key: ({ orderId }) => orderId });
      const end = engine.execute(w, { orderId });
      await begun.promise;
      for (const amount of [1, 2]) await engine.publish(paid, { orderId, amount, at: new Date(0) });
      await engine.publish(paid, { orderId, amount: 9, at: new Date(0) }, { id: `${orderId}-same` });
      await engine.publish(paid, { orderId, amount: 9, at: new Date(0) }, { id: `${orderId}-same` });
      goOn.resolve();
      const output = await end;
      expect([output.first?.amount, output.second?.amount]).toEqual([1, 2]);
    });

    test("none in time fails with timeout, or goes on without one", async () => {
      const base = workflow("impatient").input(Id);
      const strict = base.waitFor("payment", paid, { key: ({ id }) => id, timeoutMs: 20 });
      await expect(engine.execute(strict, { id: "a" })).rejects.toMatchObject({ code: "timeout" });
      const lenient = base.waitFor("payment", paid, { key: ({ id }) => id, timeoutMs: 1_050, onTimeout: "continue" });
      expect(await engine.execute(lenient, { id: "a" })).toEqual({ id: "a", payment: undefined });
    });

    test("a payload that does not fit is refused", async () => {
      await expect(engine.publish(paid, { orderId: 1 } as never)).rejects.toMatchObject({ code: "invalid_input" });
    });
  });

  describe("approvals", () => {
    const asks = workflow("asks").input(Id).approve("manager");

    test("an answer goes into the scope; the same again is fine, another is a conflict", async () => {
      const runId = unique("asks");
      await engine.start(asks, { id: "a" }, { runId });
      await inState(runId, "waiting");
      const yes = { approved: true, by: "ada", comment: "fine" };
      await Promise.all([engine.approve(runId, "manager", yes), engine.approve(runId, "manager", yes)]);
      const done = await inState(runId, "done");
      expect(done.output).toEqual({ id: "a", manager: { ...yes, at: expect.any(Date) } });
      await engine.approve(runId, "manager", yes);
      await expect(engine.approve(runId, "manager", { approved: false, by: "bob" })).rejects.toMatchObject({
        code: "conflict",
      });
      await expect(engine.approve(runId, "nobody", yes)).rejects.toMatchObject({ code: "not_found" });
      await expect(engine.approve("no-run", "manager", yes)).rejects.toMatchObject({ code: "not_found" });
      expect(JSON.stringify(await eventsOf(runId))).not.toContain("fine");
    });

    test("what is no approval takes no answer, also when it has finished", async () => {
      const w = workflow("asks-nobody")
        .input(Id)
        .run("plain", () => ({ approved: true, by: "ada" }));
      const runId = unique("asks-nobody");
      await engine.execute(w, { id: "a" }, { runId });
      for (const approved of [true, false]) {
        await expect(engine.approve(runId, "plain", { approved, by: "ada" })).rejects.toMatchObject({
          code: "conflict",
          message: expect.stringContaining("does not wait for an answer"),
        });
      }
    });

    test("of two different answers at once one stands", async () => {
      const runId = unique("asks");
      await engine.start(asks, { id: "a" }, { runId });
      await inState(runId, "waiting");
      const answers = await Promise.allSettled(
        ["ada", "bob"].map((by) => engine.approve(runId, "manager", { approved: true, by })),
      );
      expect(answers.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
      const winner = answers[0]!.status === "fulfilled" ? "ada" : "bob";
      expect((await inState(runId, "done")).output).toMatchObject({ manager: { by: winner } });
    });

    test("a no fails with rejected, or goes on where the run says so; asking again by retry", async () => {
      const runId = unique("asks");
      await engine.start(asks, { id: "a" }, { runId });
      await inState(runId, "waiting");
      await engine.approve(runId, "manager", { approved: false, by: "bob", comment: "too dear" });
      expect((await inState(runId, "failed")).error).toMatchObject({
        code: "rejected",
        message: expect.stringContaining("bob"),
      });
      await engine.retry(runId);
      await inState(runId, "waiting");
      await engine.approve(runId, "manager", { approved: true, by: "bob" });
      await inState(runId, "done");
      const lenient = workflow("lenient").input(Id).approve("manager", { onReject: "continue" });
      const other = unique("asks");
      await engine.start(lenient, { id: "a" }, { runId: other });
      await inState(other, "waiting");
      await engine.approve(other, "manager", { approved: false, by: "bob" });
      expect((await inState(other, "done")).output).toMatchObject({ manager: { approved: false } });
    });

    test("nobody in time fails with timeout, or counts as a no by timeout", async () => {
      const base = workflow("asks-in-time").input(Id);
      await expect(engine.execute(base.approve("manager", { timeoutMs: 10 }), { id: "a" })).rejects.toMatchObject({
        code: "timeout",
      });
      const w = base.approve("manager", { timeoutMs: 10, onTimeout: "reject", onReject: "continue" });
      expect(await engine.execute(w, { id: "a" })).toMatchObject({ manager: { approved: false, by: "timeout" } });
    });

    test("items of a list ask at the same time, each by its own path, while others work", async () => {
      const w = workflow("asks-each")
        .input(Id)
        .each(
          "items",
          () => [1, 2, 3],
          (body) => body.approve("ok").run("use", ({ ok, item }) => ({ by: `${item}${ok.by}` })),
          { concurrency: 3 },
        );
      const runId = unique("asks-each");
      await engine.start(w, { id: "a" }, { runId });
      const waiting = await inState(runId, "waiting");
      expect(waiting.waits.map(({ node }) => node)).toEqual(["items[0]/ok", "items[1]/ok", "items[2]/ok"]);
      for (const index of [2, 0, 1])
        await engine.approve(runId, `items[${index}]/ok`, { approved: true, by: `p${index}` });
      const { output } = await inState(runId, "done");
      expect(output).toMatchObject({ items: [{ by: "1p0" }, { by: "2p1" }, { by: "3p2" }] });
    });
  });

  describe("children", () => {
    const child = workflow("child")
      .input(z.object({ n: z.number() }))
      .run("square", ({ n }) => {
        if (n < 0) throw new Error("negative");
        return { squared: n * n };
      });

    test("a child is a run of its own whose output is nested in the caller's scope", async () => {
      const w = workflow("caller")
        .input(z.object({ n: z.number() }))
        .call(child)
        .call(child, { as: "again", with: ({ child }) => ({ n: child.squared }) });
      const runId = unique("caller");
      expect(await engine.execute(w, { n: 3 }, { runId })).toEqual({
        n: 3,
        child: { n: 3, squared: 9 },
        again: { n: 9, squared: 81 },
      });
      expect(await engine.run(`${runId}/again`)).toMatchObject({
        workflow: "child",
        state: "done",
        origin: { kind: "call", name: "again", id: runId },
      });
    });

    test("a child that fails fails its caller, and a retry of the caller begins another", async () => {
      const w = workflow("caller-fails")
        .input(z.object({ n: z.number() }))
        .call(child);
      const runId = unique("caller");
      await expect(engine.execute(w, { n: -1 }, { runId })).rejects.toThrow("negative");
      await engine.retry(runId);
      await until(async () => (await engine.run(`${runId}/child~1`))?.state === "failed");
      await inState(runId, "failed");
    });

    test("a retry of a caller that was canceled with its child begins another, and keeps one that was done by then", async () => {
      const asks = workflow("asked-again").input(Id).approve("manager");
      const w = workflow("caller-retried").input(Id).call(asks);
      const [runId, first] = [unique("caller"), unique("caller")];
      await engine.start(w, { id: "a" }, { runId });
      await inState(`${runId}/asked-again`, "waiting");
      await engine.cancel(runId);
      await inState(runId, "canceled");
      await engine.retry(runId);
      await inState(`${runId}/asked-again~1`, "waiting");
      await engine.approve(`${runId}/asked-again~1`, "manager", { approved: true, by: "ada" });
      await inState(runId, "done");

      await engine.start(w, { id: "a" }, { runId: first });
      await inState(`${first}/asked-again`, "waiting");
      await engine.pause(first);
      await inState(first, "paused");
      await engine.approve(`${first}/asked-again`, "manager", { approved: true, by: "ada" });
      await inState(`${first}/asked-again`, "done");
      await engine.cancel(first);
      await inState(first, "canceled");
      await engine.retry(first);
      await inState(first, "done");
      expect(await engine.run(`${first}/asked-again~1`)).toBeUndefined();
    });

    test("an event that came after the caller began, and before the child did, is for the child too", async () => {
      const moved = event({ name: "moved", payload: Id, key: ({ id }) => id });
      const waits = workflow("waiting-child")
        .input(Id)
        .waitFor("move", moved, { key: ({ id }) => id });
      const w = workflow("caller-of-waiting").input(Id).approve("ok").call(waits);
      const runId = unique("caller");
      await engine.start(w, { id: runId }, { runId });
      await inState(runId, "waiting");
      await engine.publish(moved, { id: runId });
      await engine.approve(runId, "ok", { approved: true, by: "ada" });
      await inState(runId, "done");
    });

    test("canceling the caller cancels a child that waits", async () => {
      const asks = workflow("asking-child").input(Id).approve("manager");
      const w = workflow("caller-canceled").input(Id).call(asks);
      const runId = unique("caller");
      await engine.start(w, { id: "a" }, { runId });
      await inState(runId, "waiting");
      expect(await engine.cancel(runId, { reason: "no longer wanted" })).toBe(true);
      await inState(runId, "canceled");
      expect((await inState(`${runId}/asking-child`, "canceled")).error?.code).toBe("canceled");
    });
  });

  describe("compensation", () => {
    const undone: string[] = [];
    const make = <const N extends string>(name: N) => step(name, () => `${name}-made`);
    const undo = (name: string, fn: (ctx: ProcedureContext) => void = () => {}) =>
      procedure({
        name: `undo-${name}`,
        input: z.object({ what: z.string() }),
        output: z.object({}),
        handler: ({ what }, ctx) => {
          fn(ctx);
          undone.push(what);
          return {};
        },
      });
    const fails = step("fails", () => {
      throw new Error("no stock");
    });

    test("undoes what finished, the last first, and the run keeps its own error", async () => {
      undone.length = 0;
      const w = workflow("saga")
        .input(Id)
        .step(make("first"))
        .compensate(undo("first"), { with: ({ first }) => ({ what: first }) })
        .step(make("second"))
        .compensate(undo("second"), { with: ({ second }) => ({ what: second }) })
        .step(fails);
      const runId = unique("saga");
      await expect(engine.execute(w, { id: "a" }, { runId })).rejects.toThrow(
        'step "fails" failed after 1 attempt: no stock',
      );
      expect(undone).toEqual(["second-made", "first-made"]);
      expect((await told(runId)).slice(-4)).toEqual([
        "step.failed fails",
        "step.compensated second",
        "step.compensated first",
        "run.failed",
      ]);
      await expect(engine.retry(runId)).rejects.toMatchObject({ code: "conflict" });
    });

    test("tries an undoing again, and names one that cannot be done without leaving the others", async () => {
      undone.length = 0;
      const keys = new Set<string>();
      let tries = 0;
      const w = workflow("stubborn")
        .input(Id)
        .step(make("first"))
        .compensate(
          undo("first", (ctx) => {
            keys.add(ctx.idempotencyKey);
            if (++tries < 3) throw new Error("not yet");
          }),
          { with: ({ first }) => ({ what: first }) },
        )
        .step(make("second"))
        .compensate(
          procedure({
            name: "undo-never",
            input: z.object({}),
            output: z.object({}),
            policies: { retry: { maxAttempts: 1 } },
            handler: () => {
              throw new Error("cannot");
            },
          }),
        )
        .step(fails);
      const runId = unique("saga");
      await expect(engine.execute(w, { id: "a" }, { runId })).rejects.toThrow('not undone: "second"');
      expect([tries, keys.size, undone]).toEqual([3, 1, ["first-made"]]);
      expect(await told(runId)).toContain("compensation.failed second");
    });

    test("happens when a waiting run is canceled, also in items of a list", async () => {
      undone.length = 0;
      const w = workflow("canceled-saga")
        .input(Id)
        .each(
          "items",
          () => ["x", "y"],
          (body) =>
            body
              .run("name", ({ item }) => ({ id2: item }))
              .step(make("made"))
              .compensate(undo("item"), { with: ({ item, made }) => ({ what: `${item} ${made}` }) }),
        )
        .approve("manager");
      const runId = unique("saga");
      await engine.start(w, { id: "a" }, { runId });
      await inState(runId, "waiting");
      await engine.cancel(runId);
      await inState(runId, "canceled");
      expect(undone).toEqual(["y made-made", "x made-made"]);
    });
  });

  describe("acts", () => {
    test("cancel stops a step in flight, aborts its signal, and a run that has ended is left alone", async () => {
      const begun = Promise.withResolvers<AbortSignal>();
      const w = workflow("busy")
        .input(Id)
        .step(
          step("hang", (ctx) => {
            begun.resolve(ctx.signal);
            return new Promise(() => {});
          }),
        );
      const runId = unique("busy");
      const verdict = expect(engine.execute(w, { id: "a" }, { runId })).rejects.toMatchObject({ code: "canceled" });
      const signal = await begun.promise;
      expect(await engine.cancel(runId, { reason: "enough" })).toBe(true);
      await verdict;
      expect(signal.aborted).toBe(true);
      expect(await engine.cancel(runId)).toBe(false);
      expect((await eventsOf(runId)).at(-1)).toMatchObject({ type: "run.canceled", reason: "enough" });
    });

    test("pause stops between two steps, resume goes on, each a conflict where it does not fit", async () => {
      const begun = Promise.withResolvers<void>();
      const goOn = Promise.withResolvers<void>();
      const done: string[] = [];
      const w = workflow("pausable")
        .input(Id)
        .step(
          step("one", async () => {
            begun.resolve();
            await goOn.promise;
            done.push("one");
          }),
        )
        .step(step("two", () => void done.push("two")));
      const runId = unique("pausable");
      await engine.start(w, { id: "a" }, { runId });
      await begun.promise;
      await engine.pause(runId);
      goOn.resolve();
      await inState(runId, "paused");
      expect(done).toEqual(["one"]);
      await engine.resume(runId);
      await inState(runId, "done");
      expect(done).toEqual(["one", "two"]);
      await expect(engine.pause(runId)).rejects.toMatchObject({ code: "conflict" });
      await expect(engine.resume(runId)).rejects.toMatchObject({ code: "conflict" });
      await expect(engine.pause("no-run")).rejects.toMatchObject({ code: "not_found" });
    });

    test("a waiting run that is paused stays so when its answer comes, and uses it when it goes on", async () => {
      const w = workflow("paused-wait").input(Id).approve("manager");
      const runId = unique("paused");
      await engine.start(w, { id: "a" }, { runId });
      await inState(runId, "waiting");
      await engine.pause(runId);
      expect((await engine.run(runId))?.state).toBe("paused");
      await engine.approve(runId, "manager", { approved: true, by: "ada" });
      expect((await engine.run(runId))?.state).toBe("paused");
      await engine.resume(runId);
      await inState(runId, "done");
    });

    test("retry goes on from the node that failed with the same key; from a node it runs that and later ones anew", async () => {
      const keys: Record<string, string[]> = { one: [], two: [], three: [] };
      let broken = true;
      const note = (name: string) =>
        step(name, (ctx) => {
          keys[name]!.push(ctx.idempotencyKey);
          if (name === "two" && broken) throw new Error("broken");
        });
      const w = workflow("retries").input(Id).step(note("one")).step(note("two")).step(note("three"));
      const runId = unique("retries");
      await expect(engine.execute(w, { id: "a" }, { runId })).rejects.toThrow("broken");
      broken = false;
      await engine.retry(runId);
      await inState(runId, "done");
      expect([keys.one!.length, keys.two!.length, keys.three!.length]).toEqual([1, 2, 1]);
      expect(new Set(keys.two).size).toBe(1);
      await expect(engine.retry(runId)).rejects.toMatchObject({ code: "conflict" });

      const other = unique("retries");
      broken = true;
      keys.one = [];
      keys.two = [];
      keys.three = [];
      await expect(engine.execute(w, { id: "a" }, { runId: other })).rejects.toThrow("broken");
      broken = false;
      await engine.retry(other, { from: "one" });
      await inState(other, "done");
      expect([keys.one.length, keys.two.length, keys.three.length]).toEqual([2, 2, 1]);
      expect(new Set(keys.one).size).toBe(2);
      expect(new Set(keys.two).size).toBe(2);
      await expect(engine.retry(unique("none"))).rejects.toMatchObject({ code: "not_found" });
    });

    test("a retry from a node runs again what failed elsewhere too: in another item, another branch, before it", async () => {
      const ran: string[] = [];
      let broken = true;
      const note = (name: string) =>
        step(name, () => {
          ran.push(name);
          if (name.startsWith("bad") && broken) throw new Error("broken");
        });
      const base = workflow("retried-beside").input(Id);
      const cases = [
        {
          from: "items[0]/take",
          w: base.each(
            "items",
            () => [0, 1],
            (body) =>
              body.run("take", ({ index }) => {
                ran.push(`take ${index}`);
                if (index === 1 && broken) throw new Error("broken");
                return { taken: index };
              }),
          ),
          again: ["take 0", "take 1"],
        },
        { from: "good", w: base.parallel([note("good"), note("bad")]), again: ["good", "bad"] },
        { from: "last", w: base.step(note("good")).step(note("bad")).step(note("last")), again: ["bad", "last"] },
      ];
      for (const { from, w, again } of cases) {
        broken = true;
        const runId = unique("beside");
        await expect(engine.execute(w, { id: "a" }, { runId })).rejects.toThrow("broken");
        broken = false;
        ran.length = 0;
        await engine.retry(runId, { from });
        await inState(runId, "done");
        expect(ran.sort(), from).toEqual(again.sort());
      }
    });

    test("a retry from a node in an item or a round decides anew what became of it; other collected items stay", async () => {
      let broken = true;
      const takes: number[] = [];
      const rounds: number[] = [];
      const w = workflow("decides-anew")
        .input(Id)
        .each(
          "items",
          () => [0, 1],
          (body) =>
            body.run("take", ({ index }) => {
              takes.push(index);
              if (broken || index === 1) throw new Error("broken");
              return { taken: index };
            }),
          { onError: "collect" },
        )
        .repeat(
          "poll",
          (body) =>
            body.run("ask", ({ round }) => {
              rounds.push(round);
              return { ready: !broken };
            }),
          { until: ({ ready }) => ready, maxTimes: 2 },
        );
      const runId = unique("decides-anew");
      await expect(engine.execute(w, { id: "a" }, { runId })).rejects.toThrow("not over after 2 rounds");
      broken = false;
      takes.length = 0;
      rounds.length = 0;
      await engine.retry(runId, { from: "items[0]/take" });
      const { output } = await inState(runId, "done");
      expect(output).toMatchObject({ items: [{ ok: true, value: { taken: 0 } }, { ok: false }], ready: true });
      expect([takes, rounds]).toEqual([[0], [0]]);
    });

    test("a retry of rounds that were not over begins them anew, under other keys: a service that dedupes answers anew", async () => {
      const keys: string[] = [];
      const ask = step("ask", (ctx) => void keys.push(ctx.idempotencyKey));
      const w = workflow("asks-again")
        .input(Id)
        .repeat("rounds", (round) => round.step(ask), { until: () => keys.length === 4, maxTimes: 2 });
      const runId = unique("asks-again");
      await expect(engine.execute(w, { id: "a" }, { runId })).rejects.toMatchObject({ code: "step_failed" });
      await engine.retry(runId);
      await inState(runId, "done");
      expect(keys).toHaveLength(4);
      expect(new Set(keys).size).toBe(4);
    });

    test("rerun is a new run with the same input that says what it came from", async () => {
      const w = workflow("again")
        .input(Id)
        .run("echo", ({ id }) => ({ echo: id }));
      const runId = unique("again");
      await engine.execute(w, { id: "a" }, { runId });
      const { runId: second } = await engine.rerun(runId);
      expect(await inState(second, "done")).toMatchObject({
        output: { echo: "a" },
        origin: { kind: "rerun", id: runId },
      });
      const listed = await engine.runs({ workflow: "again", limit: 2 });
      expect(listed.map((run) => run.runId)).toEqual([second, runId]);
    });
  });

  test("the principal of whoever started a run is that of its steps and its children", async () => {
    const seen: unknown[] = [];
    const who = step("who", (ctx) => void seen.push(ctx.principal));
    const w = workflow("on-behalf").input(Id).step(who).call(workflow("on-behalf-child").input(Id).step(who));
    await engine.execute(w, { id: "a" }, { principal: { id: "ada" } });
    expect(seen).toEqual([{ id: "ada" }, { id: "ada" }]);
  });

  test("attempts that fail are told with what comes next, and a step that takes long says that it began", async () => {
    const w = workflow("slow")
      .input(Id)
      .step(
        step("slow", async (ctx) => {
          if (ctx.attempt === 1) throw Object.assign(new Error("away"), { status: 503 });
          await new Promise((resolve) => setTimeout(resolve, 300));
        }),
      )
      .withRetry({ maxAttempts: 2, backoff: "fixed", initialMs: 1 });
    const runId = unique("slow");
    await engine.execute(w, { id: "a" }, { runId });
    expect(await eventsOf(runId)).toMatchObject([
      { type: "run.started", workflow: "slow" },
      {
        type: "attempt.failed",
        node: "slow",
        attempt: 1,
        nextInMs: 1,
        nextAt: expect.any(Date),
        error: { message: "away" },
      },
      { type: "step.started", node: "slow" },
      { type: "step.finished", node: "slow", attempts: 2 },
      { type: "run.done" },
    ]);
  });
});
