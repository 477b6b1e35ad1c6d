// The judges alone: each test that a candidate must pass, with the near miss that fails it. Pure, no store.
import { loadModule } from "libpg-query";
import { beforeAll, describe, expect, test } from "vitest";
import { isRejection } from "./analyzer.ts";
import type { Finding, Rejection } from "./finding.ts";
import { type FlakyStepCandidate, FlakyStepOptions, flakyStep } from "./flaky-step.ts";
import { type NPlusOneCandidate, NPlusOneOptions, nPlusOne } from "./n-plus-one.ts";
import { type PairStep, type ParallelStepsCandidate, ParallelStepsOptions, parallelSteps } from "./parallel-steps.ts";
import { describeStatement } from "./statement.ts";
import { wilson } from "./wilson.ts";

beforeAll(() => loadModule());
const verdict = (result: Finding | Rejection) => (isRejection(result) ? result.test : "found");

describe("n-plus-one", () => {
  const candidate = (
    sql: string,
    changes: { median?: number; max?: number; wastedMs?: number } = {},
  ): NPlusOneCandidate => ({
    service: "shop",
    operation: "GET /orders",
    requests: 10,
    p50Ms: 20,
    p95Ms: 30,
    occurrences: 10,
    file: "src/orders.ts",
    line: 41,
    traceIds: [],
    repeat: {
      text: sql,
      normalised: sql,
      system: "postgresql",
      statement: describeStatement(sql),
      repeats: { median: changes.median ?? 50, max: changes.max ?? 50 },
      wastedMs: changes.wastedMs ?? 400,
      frames: [],
    },
    queries: { median: 50, distinct: 1 },
  });
  const judge = (...of: Parameters<typeof candidate>) =>
    verdict(nPlusOne.judge(candidate(...of), NPlusOneOptions.parse({})));

  test.each([
    ["SELECT * FROM customers WHERE id = $1", {}, "found"],
    ["SELECT * FROM customers WHERE id = $1", { median: 5, max: 5 }, "found"],
    ["SELECT * FROM customers WHERE id = $1", { median: 4, max: 4 }, "few-repeats"],
    ["SELECT * FROM customers WHERE id = $1", { wastedMs: 49 }, "too-little-time"],
    ["SELECT * FROM notes WHERE customer_id = $1 ORDER BY id LIMIT 3", {}, "found"],
    ["SELECT * FROM notes WHERE id > $1 ORDER BY id LIMIT 100", {}, "pages-of-one-list"],
    [
      "SELECT * FROM notes WHERE (created, id) < ($1, $2) ORDER BY created DESC, id DESC LIMIT $3",
      {},
      "pages-of-one-list",
    ],
    ["SELECT * FROM notes ORDER BY id LIMIT 20 OFFSET 40", {}, "pages-of-one-list"],
    ["SELECT * FROM notes WHERE amount > $1 ORDER BY id LIMIT 3", {}, "found"],
    ["INSERT INTO notes (id) VALUES ($1)", {}, "writes"],
    ["UPDATE notes SET body = $1 WHERE id = $2", {}, "writes"],
    ["WITH gone AS (DELETE FROM notes WHERE id = $1 RETURNING id) SELECT id FROM gone", {}, "writes"],
    ["SELECT * FROM notes WHERE id = $1 FOR UPDATE", {}, "writes"],
  ])("%s %j: %s", (sql, changes, expected) => {
    expect(judge(sql, changes)).toBe(expected);
  });

  test("the same candidate always has the same fingerprint, another statement another", () => {
    const print = (sql: string) => nPlusOne.judge(candidate(sql), NPlusOneOptions.parse({})).fingerprint;
    expect(print("SELECT 1 FROM a")).toBe(print("SELECT  1\n FROM a"));
    expect(print("SELECT 1 FROM a")).not.toBe(print("SELECT 1 FROM b"));
  });
});

describe("flaky-step", () => {
  const good: FlakyStepCandidate = {
    service: "shop",
    workflow: "fulfilment",
    node: "ship-order",
    procedure: "ship-order",
    file: "src/fulfilment.ts",
    line: 76,
    attempts: 400,
    failures: 28,
    errorTypes: { unavailable: 14, ECONNRESET: 14 },
    causes: {},
    errorSlices: 9,
    afterFailure: { count: 2, of: 28 },
    failuresOfOneInput: 1,
    healed: { count: 28, of: 28 },
    maxAttempts: 1,
    idempotent: true,
    calls: [{ method: "PUT", target: "carrier/*", keyed: 0, total: 400, doneBeforeFailure: 0, effect: "same" }],
    p50Ms: 10,
    p95Ms: 12,
    failedMs: 280,
    traceIds: [],
  };
  const call = (changes: Partial<FlakyStepCandidate["calls"][number]>) => ({ ...good.calls[0]!, ...changes });

  test.each<[string, Partial<FlakyStepCandidate>, string]>([
    ["as it should be", {}, "found"],
    ["retried already", { maxAttempts: 3 }, "already-retried"],
    ["49 attempts", { attempts: 49, failures: 3, errorTypes: { unavailable: 3 } }, "too-few-attempts"],
    ["one validation error among them", { errorTypes: { unavailable: 27, invalid_input: 1 } }, "not-transient"],
    ["a 404", { errorTypes: { http_404: 28 } }, "not-transient"],
    ["503s behind the app's own error", { errorTypes: { CarrierError: 28 }, causes: { 503: 28 } }, "found"],
    ["27 of 28 explained", { errorTypes: { CarrierError: 28 }, causes: { 503: 27, 400: 1 } }, "not-transient"],
    ["an outage", { failures: 110, errorTypes: { unavailable: 110 } }, "outage"],
    ["all failures in one burst", { errorSlices: 2 }, "one-burst"],
    ["failures that come together", { afterFailure: { count: 20, of: 28 } }, "not-independent"],
    ["one input behind most of them", { failuresOfOneInput: 15 }, "input-determined"],
    ["16 of 16 healed", { healed: { count: 16, of: 16 } }, "found"],
    ["15 of 15 healed", { healed: { count: 15, of: 15 } }, "healing-not-seen"],
    ["29 of 30 healed", { failures: 30, errorTypes: { unavailable: 30 }, healed: { count: 29, of: 30 } }, "found"],
    ["19 of 20 healed", { healed: { count: 19, of: 20 } }, "healing-not-seen"],
    ["nobody tried again", { healed: { count: 0, of: 0 } }, "healing-not-seen"],
    ["idempotent not declared", { idempotent: null }, "no-idempotency-key"],
    ["declared not idempotent", { idempotent: false }, "no-idempotency-key"],
    ["a POST without a key", { calls: [call({ method: "POST", effect: "again" })] }, "no-idempotency-key"],
    ["a POST with one", { calls: [call({ method: "POST", effect: "same", keyed: 400 })] }, "found"],
    ["a row added before", { calls: [call({ method: "", effect: "again", doneBeforeFailure: 1 })] }, "partial-effect"],
    ["a row added after", { calls: [call({ method: "", effect: "again", doneBeforeFailure: 0 })] }, "found"],
    [
      "an unknown call before",
      { calls: [call({ method: "", effect: "unknown", doneBeforeFailure: 1 })] },
      "partial-effect",
    ],
    ["an upsert before", { calls: [call({ method: "", effect: "same", doneBeforeFailure: 28 })] }, "found"],
  ])("%s", (_name, changes, expected) => {
    expect(verdict(flakyStep.judge({ ...good, ...changes }, FlakyStepOptions.parse({})))).toBe(expected);
  });

  test("the equally flaky POST is refused for its key, also where too few inputs were tried again to see it heal", () => {
    const post = {
      ...good,
      idempotent: null,
      calls: [call({ method: "POST", effect: "again" })],
      healed: { count: 2, of: 2 },
    };
    const result = flakyStep.judge(post, FlakyStepOptions.parse({}));
    expect(result).toMatchObject({ test: "no-idempotency-key", reason: expect.stringContaining("ctx.idempotencyKey") });
  });
});

describe("parallel-steps", () => {
  const step = (node: string, changes: Partial<PairStep> = {}): PairStep => ({
    node,
    procedure: node,
    reads: ["orderNumber"],
    writes: [`${node}Id`],
    effects: {
      declared: { reads: [], writes: [node] },
      observed: { reads: [], writes: [`${node}.example/`] },
      unclear: [],
    },
    medianMs: 20,
    failures: 0,
    ...changes,
  });
  const effects = (reads: string[], writes: string[], declared = true): PairStep["effects"] => ({
    declared: declared ? { reads, writes } : null,
    observed: { reads, writes },
    unclear: [],
  });
  const pair = (
    first: PairStep,
    second: PairStep,
    changes: Partial<ParallelStepsCandidate> = {},
  ): ParallelStepsCandidate => ({
    service: "shop",
    workflow: "checkout",
    file: "src/checkout.ts",
    line: 100,
    first,
    second,
    runs: 300,
    of: 300,
    savedMs: 20,
    runP50Ms: 100,
    runP95Ms: 120,
    traceIds: [],
    ...changes,
  });

  test.each<[string, ParallelStepsCandidate, string]>([
    ["as it should be", pair(step("mail"), step("track")), "found"],
    [
      "the second reads what the first writes",
      pair(step("mail"), step("track", { reads: ["mailId"] })),
      "needs-output",
    ],
    [
      "both write a table",
      pair(step("a", { effects: effects([], ["stock"]) }), step("b", { effects: effects([], ["stock"]) })),
      "shared-rows",
    ],
    [
      "one writes what the next reads",
      pair(step("a", { effects: effects([], ["stock"]) }), step("b", { effects: effects(["stock"], []) })),
      "shared-rows",
    ],
    [
      "one reads what the next writes",
      pair(step("a", { effects: effects(["stock"], []) }), step("b", { effects: effects([], ["stock"]) })),
      "shared-rows",
    ],
    [
      "both read a table",
      pair(step("a", { effects: effects(["stock"], ["x"]) }), step("b", { effects: effects(["stock"], ["y"]) })),
      "found",
    ],
    [
      "undeclared, but only reads were seen",
      pair(
        step("a", { effects: effects(["stock"], [], false) }),
        step("b", { effects: effects(["stock"], [], false) }),
      ),
      "found",
    ],
    [
      "undeclared and nothing was seen",
      pair(step("a", { effects: effects([], [], false) }), step("b")),
      "unknown-effects",
    ],
    [
      "undeclared and a write was seen",
      pair(step("a"), step("b", { effects: effects([], ["other"], false) })),
      "unknown-effects",
    ],
    [
      "a call that says nothing",
      pair(step("a"), step("b", { effects: { ...effects([], []), unclear: ["redis"] } })),
      "unknown-effects",
    ],
    ["the first fails and so keeps the next from writing", pair(step("a", { failures: 1 }), step("b")), "guards-next"],
    ["19 runs", pair(step("a"), step("b"), { runs: 19 }), "observed-only-n-runs"],
    ["20 runs", pair(step("a"), step("b"), { runs: 20 }), "found"],
    ["4.9 ms", pair(step("a"), step("b"), { savedMs: 4.9, runP50Ms: 10 }), "too-little-to-gain"],
    ["9 % of the run", pair(step("a"), step("b"), { savedMs: 9 }), "too-little-to-gain"],
    ["20 ms of a long run", pair(step("a"), step("b"), { savedMs: 20, runP50Ms: 900 }), "found"],
  ])("%s", (_name, candidate, expected) => {
    expect(verdict(parallelSteps.judge(candidate, ParallelStepsOptions.parse({})))).toBe(expected);
  });
});

describe("statement", () => {
  test.each<[string, string[], string[], boolean]>([
    ["SELECT a FROM orders o JOIN public.lines l ON l.o = o.id", ["lines", "orders"], [], true],
    ["INSERT INTO orders (id) VALUES ($1)", [], ["orders"], false],
    ["INSERT INTO orders (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = EXCLUDED.n", [], ["orders"], true],
    [
      "INSERT INTO orders (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = orders.n + 1",
      [],
      ["orders"],
      false,
    ],
    ["INSERT INTO orders (id) SELECT id FROM drafts ON CONFLICT DO NOTHING", ["drafts"], ["orders"], true],
    ["UPDATE stock SET n = $1 WHERE id = $2", [], ["stock"], true],
    ["UPDATE stock SET n = n - $1 WHERE id = $2", [], ["stock"], false],
    ["DELETE FROM stock WHERE id = $1", [], ["stock"], true],
    ["WITH t AS (UPDATE a SET x = 1 RETURNING id) UPDATE b SET y = 2 FROM t WHERE b.id = t.id", [], ["a", "b"], false],
    ["SELECT nextval('s')", [], [], false],
    ["SELECT * FROM stock FOR UPDATE", ["stock"], ["stock"], false],
  ])("%s", (sql, reads, writes, repeatable) => {
    expect(describeStatement(sql)).toMatchObject({ reads, writes, repeatable });
  });

  test.each(["SELECT nextval('s')", "SELECT `a` FROM b", "get c:1", "SELECT 1; SELECT 2", ""])(
    "%j is not understood",
    (sql) => {
      expect(describeStatement(sql).understood).toBe(false);
    },
  );
});

test("Wilson's bounds are those of the decision rule", () => {
  expect(wilson(16, 16).low).toBeGreaterThan(0.8);
  expect(wilson(15, 15).low).toBeLessThan(0.8);
  expect(wilson(29, 30).low).toBeGreaterThan(0.8);
  expect(wilson(19, 20).low).toBeCloseTo(0.764, 3);
  expect(wilson(0, 0)).toEqual({ low: 0, high: 1 });
});
