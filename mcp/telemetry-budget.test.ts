// What telemetry answers to an assistant: within the budget for the largest answers, with the critical path first.
import { expect, it } from "vitest";
import { answerOf } from "./answers.ts";
import { charactersPerToken, fitted, resultTokens } from "./text.ts";

const span = (at: number, parent: number | null) => ({
  ...{ traceId: "t", spanId: `s${at}`, parentSpanId: parent === null ? null : `s${parent}`, kind: "internal" },
  ...{ name: `work ${at}`, service: "shop", start: at, durationMs: 10_000 - at, status: "unset", statusMessage: "" },
  ...{ attributes: { long: "x".repeat(1_000) }, events: [] },
});
const trace = (spans: ReturnType<typeof span>[], deep = false) => ({
  tree: spans.map(({ spanId }, at) => ({ spanId, depth: deep ? at : Math.min(at, 1) })),
  ...{ traceId: "t", spans, omitted: 0, project: "shop", environment: "production", selfMs: {}, skewMs: {}, logs: 7 },
  criticalPath: Array.from({ length: 5_000 }, (_, at) => ({
    spanId: `s${at}`,
    start: at,
    end: at + (at === 42 ? 9 : 1),
  })),
});
const many = Array.from({ length: 5_000 }, (_, at) => at);
const bucket = { from: 1.234567890123, to: 2.345678901234, count: 123_456 };
const quantiles = { p50: 1.23, p95: 4.56, p99: 7.89 };

it.each([
  ["traces.get", trace(many.map((at) => span(at, at === 0 ? null : 0)))],
  [
    "traces.get",
    trace(
      many.map((at) => span(at, at === 0 ? null : at - 1)),
      true,
    ),
  ],
  ["sql.query", { rows: many.map((at) => ({ at, Body: "y".repeat(5_000) })), truncated: true }],
  [
    "metrics.distribution",
    {
      everyMs: 1,
      series: [
        {
          group: ["a", "b"],
          points: many.map((at) => ({ at, count: 1, ...quantiles, buckets: new Array(40).fill(bucket) })),
        },
      ],
    },
  ],
  ["metrics.query", { everyMs: 1, times: many, series: [{ group: ["a", "b"], values: many }], exemplars: [] }],
  [
    "metrics.list",
    { metrics: many.map((at) => ({ name: `metric ${at}`, attributes: ["a", "b"], description: "z".repeat(900) })) },
  ],
  ["operations.list", { operations: many.map((at) => ({ service: "shop", operation: `GET /${at}`, requests: at })) }],
  [
    "services.map",
    { nodes: many.map((at) => ({ name: `n${at}` })), edges: many.map((at) => ({ from: `n${at}`, to: "n0" })) },
  ],
  ["logs.context", { records: many.map(() => ({ text: "line ".repeat(900) })) }],
])("%s fits the budget and says that lines are left out", (name, output) => {
  const text = fitted(answerOf(name, output));
  expect(text.length).toBeLessThanOrEqual(resultTokens * charactersPerToken);
  expect(text).toMatch(/\d+ further lines are left out/);
});

it("a trace tells what its duration hangs on before its tree, and how many records were logged", () => {
  const text = fitted(answerOf("traces.get", trace(many.map((at) => span(at, at === 0 ? null : 0)))));
  expect(text).toContain("has 7 records");
  expect(text.indexOf("9.00 ms  work 42")).toBeGreaterThan(0);
  expect(text.indexOf("9.00 ms  work 42")).toBeLessThan(text.indexOf("all spans:"));
});

it("the pages of a trace have every line of it once", () => {
  const whole = trace(
    many.map((at) => span(at, at === 0 ? null : at - 1)),
    true,
  );
  const seen: string[] = [];
  let from = 0;
  for (let pages = 0; from < many.length && pages < 1_000; pages++) {
    const text = fitted(answerOf("traces.get", { ...whole, criticalPath: [], tree: whole.tree.slice(from) }));
    seen.push(...(text.match(/work \d+/g) ?? []));
    const after = text.match(/goes on with after: s(\d+)/)?.[1];
    from = after === undefined ? many.length : Number(after) + 1;
  }
  expect(seen).toEqual(many.map((at) => `work ${at}`));
});
