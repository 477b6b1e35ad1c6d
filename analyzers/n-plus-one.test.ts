// n-plus-one on a real telemetry store: from spans to findings and rejections.
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSpanStore, type SpanStore, type TestSpan, traceId } from "./span-fixture.ts";

let store: SpanStore;
beforeAll(async () => {
  store = await openSpanStore();
});
afterAll(() => store[Symbol.asyncDispose]());
const only = { only: ["n-plus-one"] } as const;

function query(trace: string, index: number, text: string, line: number): TestSpan {
  return {
    trace,
    id: `q${index}`,
    parent: "root",
    name: "pg.query:SELECT shop",
    kind: "Client",
    at: Number(trace.slice(1)) * 100 + index,
    ms: 0.8,
    attributes: {
      "db.system.name": "postgresql",
      "db.query.text": text,
      "code.file.path": "src/orders.ts",
      "code.line.number": line,
      "tsdev.code.frames": JSON.stringify([`src/orders.ts:${line}:newestOrders`, "src/app.ts:21:<anonymous>"]),
    },
  };
}

function request(trace: string, route: string, queries: TestSpan[]): TestSpan[] {
  const root: TestSpan = {
    trace,
    id: "root",
    name: `GET ${route}`,
    kind: "Server",
    at: Number(trace.slice(1)) * 100,
    ms: queries.length + 2,
    attributes: { "http.route": route, "http.request.method": "GET", "http.response.status_code": 200 },
  };
  return [root, ...queries];
}

const repeats = (trace: string, count: number, line = 41) =>
  request(trace, "/orders", [
    query(trace, 0, "SELECT id FROM orders ORDER BY id DESC LIMIT 50", line - 6),
    ...Array.from({ length: count }, (_, n) => query(trace, n + 1, "SELECT id FROM customers WHERE id = $1", line)),
  ]);

test("a statement repeated for each row is one finding with its place, share, time and traces", async () => {
  const { findings, rejections } = await store.analyze([
    ...repeats("t1", 50),
    ...repeats("t2", 40),
    ...repeats("t3", 3),
  ]);
  expect(rejections).toEqual([]);
  expect(findings).toHaveLength(1);
  expect(findings[0]).toMatchObject({
    service: "shop",
    file: "src/orders.ts",
    line: 41,
    occurrences: 2,
    of: 3,
    traceIds: ["t1", "t2", "t3"].map(traceId),
    evidence: {
      operation: "GET /orders",
      databaseSystem: "postgresql",
      repeats: { max: 50 },
      frames: [
        { file: "src/orders.ts", line: 41, function: "newestOrders" },
        { file: "src/app.ts", line: 21, function: null },
      ],
    },
  });
  // 0.8 ms each, one query stays: 49 * 0.8 + 39 * 0.8.
  expect(findings[0]?.wastedMs).toBeCloseTo(70.4, 1);
});

test("the fingerprint does not depend on lines and the number of traces", async () => {
  const first = await store.analyze(repeats("t1", 80), only);
  const second = await store.analyze([...repeats("t5", 90, 99), ...repeats("t6", 70, 99)], only);
  expect(first.findings).toHaveLength(1);
  expect(second.findings.map(({ fingerprint }) => fingerprint)).toEqual([first.findings[0]?.fingerprint]);
});

test("literals in the text do not hide a repeat", async () => {
  const texts = Array.from({ length: 60 }, (_, n) => query("t1", n, `SELECT name FROM customers WHERE id = ${n}`, 41));
  const { findings } = await store.analyze(
    request(
      "t1",
      "/literal",
      texts.map((span) => ({ ...span, ms: 1.5 })),
    ),
    only,
  );
  expect(findings.map(({ evidence }) => evidence)).toMatchObject([
    { statement: "SELECT name FROM customers WHERE id = ?" },
  ]);
});

test("repeats under a step belong to its workflow, not to the request that started it", async () => {
  const spans = repeats("t1", 80).map((span) => (span.id === "root" ? span : { ...span, parent: "procedure" }));
  const named = { "tsdev.workflow.name": "checkout" };
  const { findings } = await store.analyze([
    ...spans,
    { trace: "t1", id: "workflow", parent: "root", name: "workflow checkout", at: 100, ms: 90, attributes: named },
    { trace: "t1", id: "procedure", parent: "workflow", name: "procedure validate-order", at: 100, ms: 90 },
  ]);
  expect(findings.map(({ evidence }) => evidence)).toMatchObject([{ operation: "checkout" }]);
});

test("half a trace, whose root has not come yet, is not blamed on anything", async () => {
  const [, ...children] = repeats("t1", 80);
  expect(await store.analyze(children)).toEqual({ findings: [], rejections: [] });
});

test("transaction statements are not counted as repeats", async () => {
  const spans = Array.from({ length: 80 }, (_, n) => query("t1", n, n % 2 ? "COMMIT" : "begin", 41));
  expect(await store.analyze(request("t1", "/orders", spans))).toEqual({ findings: [], rejections: [] });
});

test("the place of different queries is that of the traces which have one", async () => {
  const different = (trace: string, line: (n: number) => number | "") =>
    request(
      trace,
      "/catalog",
      ["a", "b", "c", "d", "e", "f", "g"].map((table, n) => {
        const one = query(trace, n, `SELECT * FROM ${table}`, 0);
        const at = line(n);
        const place = { "code.file.path": at === "" ? "" : "src/orders.ts", "code.line.number": at };
        return { ...one, attributes: { ...one.attributes, ...place } };
      }),
    );
  const { rejections } = await store.analyze([
    ...different("t1", () => ""),
    ...different("t2", () => ""),
    ...different("t3", (n) => (n < 3 ? "" : 12 + n)),
  ]);
  expect(rejections).toMatchObject([{ test: "different-queries", file: "src/orders.ts", line: 15 }]);
});

test("what only looks like it is left alone, each with its reason and place", async () => {
  const times = (count: number, trace: string, text: string, line: number) =>
    Array.from({ length: count }, (_, n) => query(trace, n, text, line));
  const different = ["a", "b", "c", "d", "e", "f", "g"].map((table, n) =>
    query("t1", n, `SELECT * FROM ${table}`, 12 + n),
  );
  const keyset = "SELECT id, name FROM customers WHERE id > $1 ORDER BY id LIMIT $2";
  const { findings, rejections } = await store.analyze([
    ...request("t1", "/catalog", different),
    ...request("t2", "/export", times(90, "t2", keyset, 20)),
    ...request("t3", "/few", times(4, "t3", "SELECT * FROM lines WHERE id = $1", 30)),
    ...request("t4", "/quick", times(6, "t4", "SELECT * FROM tags WHERE id = $1", 40)),
    ...request("t5", "/import", times(90, "t5", "INSERT INTO tags (id) VALUES ($1)", 50)),
    ...request("t6", "/offset", times(90, "t6", "SELECT * FROM tags ORDER BY id LIMIT $1 OFFSET $2", 60)),
    ...request("t7", "/quiet", times(2, "t7", "SELECT 1", 70)),
  ]);
  expect(findings).toEqual([]);
  const found = rejections.map(({ subject, test, reason, line }) => ({ subject, test, reason, line }));
  expect(found.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0))).toEqual([
    { subject: "GET /catalog", test: "different-queries", reason: "7 queries, all different", line: 12 },
    {
      subject: "GET /export",
      test: "pages-of-one-list",
      reason: "90 pages of one list, each read from where the last one ended",
      line: 20,
    },
    { subject: "GET /few", test: "few-repeats", reason: "the same query 4 times at most, 5 are needed", line: 30 },
    {
      subject: "GET /quick",
      test: "too-little-time",
      reason: "the repeats cost 4.0 ms in 1 requests, less than 50 ms",
      line: 40,
    },
    {
      subject: "GET /import",
      test: "writes",
      reason: "the repeated statement is INSERT: batching it changes locks and order",
      line: 50,
    },
    {
      subject: "GET /offset",
      test: "pages-of-one-list",
      reason: "90 pages of one list, each read by offset",
      line: 60,
    },
  ]);
});

test("another organization sees nothing", async () => {
  expect((await store.analyze(repeats("t1", 80))).findings).toHaveLength(1);
  expect(await store.analyzeAs("org_2")).toEqual({ findings: [], rejections: [] });
});
