// flaky-step and parallel-steps on a real telemetry store: from the spans of workflow runs to findings and rejections.
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSpanStore, type SpanStore, type TestSpan } from "./span-fixture.ts";

let store: SpanStore;
beforeAll(async () => {
  store = await openSpanStore();
});
afterAll(() => store[Symbol.asyncDispose]());

interface Call {
  method?: string;
  url?: string;
  status?: number;
  sql?: string;
  keyed?: boolean;
}

interface Step {
  id: string;
  ms: number;
  reads?: string[];
  writes?: string[];
  effects?: { reads: string[]; writes: string[] };
  idempotent?: boolean;
  calls?: Call[];
  input?: string;
  error?: string;
  max?: number;
}

/** One run as the SDK traces it: workflow > step > attempt > procedure > calls. */
function run(trace: string, workflow: string, at: number, steps: Step[]): TestSpan[] {
  const named = { "tsdev.workflow.name": workflow };
  const spans: TestSpan[] = [];
  let now = at;
  for (const [index, step] of steps.entries()) {
    const error = step.error !== undefined;
    const node = { ...named, "tsdev.node.id": step.id };
    const failed: Record<string, string> = error ? { "error.type": step.error ?? "" } : {};
    const place = { "code.file.path": `src/${workflow}.ts`, "code.line.number": 10 + index };
    const under = { trace, at: now, ms: step.ms, error };
    spans.push({
      ...under,
      id: `s${index}`,
      parent: "workflow",
      name: `step ${step.id}`,
      attributes: {
        ...node,
        ...place,
        "tsdev.node.op": "step",
        "tsdev.node.procedure": step.id,
        "tsdev.node.reads": JSON.stringify(step.reads ?? []),
        ...(error ? {} : { "tsdev.node.writes": JSON.stringify(step.writes ?? []) }),
      },
    });
    spans.push({
      ...under,
      id: `a${index}`,
      parent: `s${index}`,
      name: "attempt 1",
      attributes: {
        ...node,
        ...failed,
        "tsdev.attempt.number": 1,
        "tsdev.attempt.max": step.max ?? 1,
        "tsdev.input.digest": step.input ?? trace,
      },
    });
    const effects: Record<string, string> = step.effects
      ? {
          "tsdev.procedure.effects.reads": JSON.stringify(step.effects.reads),
          "tsdev.procedure.effects.writes": JSON.stringify(step.effects.writes),
        }
      : {};
    const idempotent: Record<string, string> =
      step.idempotent === undefined ? {} : { "tsdev.procedure.idempotent": String(step.idempotent) };
    spans.push({
      ...under,
      id: `p${index}`,
      parent: `a${index}`,
      name: `procedure ${step.id}`,
      attributes: { ...effects, ...idempotent, ...failed },
    });
    for (const [number, call] of (step.calls ?? []).entries()) {
      const status = call.status ?? 200;
      spans.push({
        trace,
        id: `c${index}-${number}`,
        parent: `p${index}`,
        name: call.method ?? "pg.query:SELECT shop",
        kind: "Client",
        at: now + number,
        ms: 1,
        error: call.method !== undefined && (status >= 400 || status === 0),
        attributes: call.sql
          ? { "db.system.name": "postgresql", "db.query.text": call.sql }
          : {
              "http.request.method": call.method ?? "GET",
              "url.full": call.url ?? "",
              ...(status > 0 ? { "http.response.status_code": status } : { "error.type": "ECONNRESET" }),
              ...(call.keyed ? { "http.request.header.idempotency-key": '["k"]' } : {}),
            },
      });
    }
    now += step.ms + 0.2;
    if (error) break;
  }
  const root: TestSpan = { trace, id: "workflow", name: `workflow ${workflow}`, at, ms: now - at, attributes: named };
  return [root, ...spans];
}

/** Runs of one step over an hour; every `every`-th input fails first and succeeds a little later. */
function flaky(count: number, every: number, step: (failing: boolean, number: number) => Step): TestSpan[] {
  return Array.from({ length: count }, (_, number) => {
    const at = (number * 3_500_000) / count;
    const again = run(`again-${number}`, "fulfilment", at + 300, [step(false, number)]);
    if (number % every !== 0) return again;
    return [...run(`first-${number}`, "fulfilment", at, [step(true, number)]), ...again];
  }).flat();
}

const ship = (failing: boolean, number: number): Step => ({
  id: "ship-order",
  ms: 10,
  input: `order ${number}`,
  idempotent: true,
  effects: { reads: [], writes: ["carrier"] },
  calls: [{ method: "PUT", url: `http://127.0.0.1:4010/carrier/shipments/${number}`, status: failing ? 503 : 200 }],
  ...(failing ? { error: number % 2 === 0 ? "unavailable" : "ECONNRESET" } : {}),
});
const charge = (failing: boolean, number: number): Step => ({
  ...ship(failing, number),
  id: "charge-card",
  idempotent: undefined,
  calls: [{ method: "POST", url: "http://127.0.0.1:4010/payment/charges", status: failing ? 503 : 201 }],
});

test("a step that fails transiently, heals and is safe to repeat is found with its evidence", async () => {
  const { findings, rejections } = await store.analyze(flaky(400, 15, ship), { only: ["flaky-step"] });
  expect(rejections).toEqual([]);
  expect(findings).toMatchObject([
    {
      file: "src/fulfilment.ts",
      line: 10,
      occurrences: 27,
      of: 427,
      evidence: {
        workflow: "fulfilment",
        node: "ship-order",
        attempts: 427,
        failures: 27,
        errorTypes: { unavailable: 14, ECONNRESET: 13 },
        healed: { of: 27, count: 27 },
        safeBecause: [
          "ship-order declares `idempotent: true`",
          "PUT 127.0.0.1/carrier/shipments/* (427 calls seen)",
          "no database call under the step",
        ],
      },
    },
  ]);
});

test("a step that is as flaky but posts without a key is refused with what to do first", async () => {
  const { findings, rejections } = await store.analyze(flaky(400, 15, charge), { only: ["flaky-step"] });
  expect(findings).toEqual([]);
  expect(rejections).toMatchObject([
    { subject: "charge-card", test: "no-idempotency-key", file: "src/fulfilment.ts", line: 10 },
  ]);
  expect(rejections[0]?.reason).toContain("POST 127.0.0.1/payment/charges carries no idempotency key");
});

test("the same post with a key on every call is safe", async () => {
  const keyed = (failing: boolean, number: number): Step => {
    const step = charge(failing, number);
    return { ...step, idempotent: true, calls: step.calls?.map((call) => ({ ...call, keyed: true })) };
  };
  const { findings } = await store.analyze(flaky(400, 15, keyed), { only: ["flaky-step"] });
  expect(findings).toHaveLength(1);
});

test("failures of the app's own kind are judged by what their failing call said", async () => {
  const wrapped = (failing: boolean, number: number): Step => ({
    ...ship(failing, number),
    ...(failing ? { error: "CarrierError" } : {}),
  });
  const { findings } = await store.analyze(flaky(400, 15, wrapped), { only: ["flaky-step"] });
  expect(findings.map(({ evidence }) => evidence)).toMatchObject([{ errorTypes: { 503: 27 } }]);
});

test("a row that was inserted before the failure makes a retry unsafe", async () => {
  const inserting = (failing: boolean, number: number): Step => ({
    ...ship(failing, number),
    calls: [{ sql: "INSERT INTO attempts (order_id) VALUES ($1)" }, ...(ship(failing, number).calls ?? [])],
  });
  const { rejections } = await store.analyze(flaky(400, 15, inserting), { only: ["flaky-step"] });
  expect(rejections).toMatchObject([{ test: "partial-effect" }]);
});

const told = (kind: string): Step => ({
  id: `send-${kind}`,
  ms: 22,
  reads: ["orderNumber"],
  writes: [`${kind}Id`],
  effects: { reads: [], writes: [kind] },
  calls: [{ method: "POST", url: `http://127.0.0.1:4010/${kind}` }],
});
const stock = (kind: string): Step => ({
  id: `${kind}-stock`,
  ms: 8,
  reads: ["reference"],
  writes: [`${kind}Units`],
  effects: { reads: ["inventory"], writes: ["inventory"] },
  calls: [{ sql: "UPDATE inventory SET reserved = reserved + $1 WHERE id = $2" }],
});
const record: Step = {
  id: "record-order",
  ms: 5,
  reads: ["commitUnits"],
  writes: ["orderNumber"],
  effects: { reads: [], writes: ["orders"] },
  calls: [{ sql: "INSERT INTO orders (id) VALUES ($1) ON CONFLICT DO NOTHING" }],
};
const runs = (count: number, steps: Step[]) =>
  Array.from({ length: count }, (_, number) => run(`run-${number}`, "checkout", number * 1000, steps)).flat();

test("two steps that need and touch nothing of each other are found; those that share rows are refused", async () => {
  const steps = [stock("reserve"), stock("commit"), record, told("mail"), told("analytics")];
  const { findings, rejections } = await store.analyze(runs(40, steps), { only: ["parallel-steps"] });
  expect(findings).toMatchObject([
    {
      file: "src/checkout.ts",
      line: 13,
      occurrences: 40,
      of: 40,
      evidence: { workflow: "checkout", nodes: ["send-mail", "send-analytics"], runs: 40, savedMs: 22 },
    },
  ]);
  expect(rejections).toMatchObject([
    { subject: "reserve-stock, commit-stock", test: "shared-rows", reason: "both write inventory", line: 10 },
  ]);
});

test("shared rows are seen in the calls also when the effects do not declare them", async () => {
  const silent = (kind: string): Step => ({ ...stock(kind), effects: { reads: [], writes: [] } });
  const { rejections } = await store.analyze(runs(40, [silent("reserve"), silent("commit")]), {
    only: ["parallel-steps"],
  });
  expect(rejections).toMatchObject([{ test: "shared-rows", reason: "both write inventory" }]);
});

test("undeclared effects, few runs and little gain are refused", async () => {
  const tests = async (count: number, steps: Step[]) => {
    const { findings, rejections } = await store.analyze(runs(count, steps), { only: ["parallel-steps"] });
    expect(findings).toEqual([]);
    return rejections.map(({ test }) => test);
  };
  expect(await tests(40, [{ ...told("mail"), effects: undefined }, told("analytics")])).toEqual(["unknown-effects"]);
  expect(await tests(12, [told("mail"), told("analytics")])).toEqual(["observed-only-n-runs"]);
  expect(await tests(40, [told("mail"), { ...told("analytics"), ms: 1 }])).toEqual(["too-little-to-gain"]);
});

test("steps that need each other's output are only mentioned when asked for", async () => {
  const steps = [record, told("mail")];
  expect(await store.analyze(runs(40, steps))).toEqual({ findings: [], rejections: [] });
  const { rejections } = await store.analyze(runs(40, steps), { explain: true });
  expect(rejections).toMatchObject([{ test: "needs-output" }]);
});
