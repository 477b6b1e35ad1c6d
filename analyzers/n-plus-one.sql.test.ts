// n-plus-one on a real ClickHouse: from spans to findings and rejections.
import { afterAll, beforeEach, expect, test } from "vitest";
import { analyze } from "./index.ts";
import { openSpanStore, periodStart, type TestSpan } from "./span-fixture.ts";

const store = openSpanStore();
afterAll(() => store[Symbol.asyncDispose]());
beforeEach(() => store.clear());

const scope = {
  organizationId: "org_1",
  project: "shop",
  environment: "production",
  since: new Date(periodStart),
  until: new Date(periodStart + 3_600_000),
};

function query(trace: string, index: number, text: string, line: number): TestSpan {
  return {
    trace,
    id: `${trace}-q${index}`,
    parent: `${trace}-root`,
    name: "pg.query",
    kind: "Client",
    at: Number(trace.slice(1)) * 100 + index,
    ms: 0.8,
    attributes: {
      "db.system.name": "postgresql",
      "db.query.text": text,
      "code.file.path": "src/orders.ts",
      "code.line.number": String(line),
      "tsdev.code.frames": JSON.stringify([`src/orders.ts:${line}:newestOrders`, "src/app.ts:21:"]),
    },
  };
}

function request(trace: string, route: string, queries: TestSpan[]): TestSpan[] {
  const root: TestSpan = {
    trace,
    id: `${trace}-root`,
    name: `GET ${route}`,
    kind: "Server",
    at: Number(trace.slice(1)) * 100,
    ms: queries.length + 2,
    attributes: { "http.route": route, "http.request.method": "GET", "http.response.status_code": "200" },
  };
  return [root, ...queries];
}

const repeats = (trace: string, count: number) =>
  request(trace, "/orders", [
    query(trace, 0, "SELECT id FROM orders ORDER BY id DESC LIMIT 50", 35),
    ...Array.from({ length: count }, (_, n) => query(trace, n + 1, "SELECT id FROM customers WHERE id = $1", 41)),
  ]);

test("a statement repeated for each row is one finding with its place, share, time and traces", async () => {
  store.load([...repeats("t1", 50), ...repeats("t2", 40), ...repeats("t3", 3)]);
  const { findings, rejections } = await analyze(store.reader, scope, { only: ["n-plus-one"] });
  expect(rejections).toEqual([]);
  expect(findings).toHaveLength(1);
  expect(findings[0]).toMatchObject({
    service: "shop",
    file: "src/orders.ts",
    line: 41,
    occurrences: 2,
    of: 3,
    traceIds: ["t1", "t2", "t3"],
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

test("the fingerprint does not depend on lines, literals and the number of traces", async () => {
  store.load(repeats("t1", 80));
  const first = await analyze(store.reader, scope, { only: ["n-plus-one"] });
  store.clear();
  const moved = (trace: string) =>
    repeats(trace, 90).map((span) => ({
      ...span,
      attributes: {
        ...span.attributes,
        ...(span.attributes?.["code.line.number"] ? { "code.line.number": "99" } : {}),
      },
    }));
  store.load([...moved("t5"), ...moved("t6")]);
  const second = await analyze(store.reader, scope, { only: ["n-plus-one"] });
  expect(second.findings.map((finding) => finding.fingerprint)).toEqual(
    first.findings.map((finding) => finding.fingerprint),
  );
  expect(first.findings).toHaveLength(1);
});

test("literals in the text do not hide a repeat", async () => {
  const texts = Array.from({ length: 60 }, (_, n) => query("t1", n, `SELECT name FROM customers WHERE id = ${n}`, 41));
  store.load(
    request(
      "t1",
      "/literal",
      texts.map((span) => ({ ...span, ms: 1.5 })),
    ),
  );
  const { findings } = await analyze(store.reader, scope, { only: ["n-plus-one"] });
  expect(findings.map((finding) => finding.evidence)).toMatchObject([
    { statement: "SELECT name FROM customers WHERE id = ?" },
  ]);
});

test("seven different queries, pages of one list and four repeats are left alone, each with its reason", async () => {
  const different = ["a", "b", "c", "d", "e", "f", "g"].map((table, n) =>
    query("t1", n, `SELECT * FROM ${table}`, 12 + n),
  );
  const pages = Array.from({ length: 9 }, (_, n) =>
    query("t2", n, "SELECT id, name FROM customers WHERE id > $1 ORDER BY id LIMIT $2", 20),
  );
  const few = Array.from({ length: 4 }, (_, n) => query("t3", n, "SELECT * FROM lines WHERE id = $1", 30));
  store.load([
    ...request("t1", "/catalog", different),
    ...request("t2", "/export", pages),
    ...request("t3", "/few", few),
  ]);
  const { findings, rejections } = await analyze(store.reader, scope, { only: ["n-plus-one"] });
  expect(findings).toEqual([]);
  expect(rejections.map(({ subject, test, file, line }) => ({ subject, test, file, line }))).toEqual(
    expect.arrayContaining([
      { subject: "GET /catalog", test: "different-queries", file: "src/orders.ts", line: 12 },
      { subject: "GET /export", test: "pages-of-one-list", file: "src/orders.ts", line: 20 },
      { subject: "GET /few", test: "few-repeats", file: "src/orders.ts", line: 30 },
    ]),
  );
  expect(rejections).toHaveLength(3);
});

test("spans of another organization are not seen", async () => {
  store.load(repeats("t1", 80).map((span) => ({ ...span, organization: "org_2" })));
  const { findings, rejections } = await analyze(store.reader, scope);
  expect([findings, rejections]).toEqual([[], []]);
});
