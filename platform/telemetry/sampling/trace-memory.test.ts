// Decisions: what must be kept is, whatever the order in which it comes, and what is kept stands for what is not.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { policyOf, request, type SentSpan, someTenant, traceId } from "./sampler.fixture.ts";
import { environmentKey, TraceMemory } from "./trace-memory.ts";
import type { Frame } from "./window-file.ts";

const none: ReadonlySet<string> = new Set();
const key = environmentKey(someTenant);

function frame(spans: SentSpan[], policy = policyOf()): Frame {
  const { rows, ...head } = request(spans, policy);
  return { ...head, from: 0, length: rows.length };
}

/** An environment in which the operation has been seen so often that it can be told what is slow for it. */
function seasoned(policy = policyOf(), traces = 400): TraceMemory {
  const memory = new TraceMemory();
  const before = frame(
    Array.from({ length: traces }, (_, i) => ({ trace: `before-${i}`, ms: 10 + (i % 100) / 10 })),
    policy,
  );
  memory.learn(before);
  memory.keep(
    memory.decide([before], () => none, 0),
    "w-0",
  );
  memory.release([before]);
  return memory;
}

function weights(memory: TraceMemory, frames: Frame[], cited = none, now = 60_000) {
  for (const one of frames) memory.learn(one);
  return memory.decide(frames, () => cited, now).get(key)!;
}

test("the sum of the adjusted counts is the number of traces, within four standard deviations, over seeds", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e9 }),
      fc.constantFrom(0.02, 0.1, 0.5, 0.9),
      fc.integer({ min: 0, max: 40 }),
      (seed, keepShare, minPerMinute) => {
        const policy = policyOf({ keepShare, minPerMinute });
        const traces = 2_000;
        // Failed ones, slow ones and two operations among them.
        const spans = Array.from({ length: traces }, (_, i) => ({
          trace: `${seed}-${i}`,
          name: i % 7 === 0 ? "GET /rare" : "GET /orders",
          ms: i % 50 === 0 ? 900 : 10,
          failed: i % 90 === 0,
        }));
        const decided = weights(seasoned(policy), [frame(spans, policy)]);
        const sum = [...decided.values()].reduce((total, weight) => total + weight, 0);
        // Each trace by lot adds (1 - p) / p to the variance.
        const deviation = Math.sqrt((traces * (1 - keepShare)) / keepShare);
        expect(decided.size).toBe(traces);
        expect(Math.abs(sum - traces)).toBeLessThan(4 * deviation + 1e-6);
      },
    ),
    { numRuns: 60, seed: 7 },
  );
});

test("over many seeds the mean of the sums is the number of traces: nothing leans to one side", () => {
  const [seeds, traces, keepShare] = [200, 300, 0.1];
  const policy = policyOf({ keepShare, minPerMinute: 6 });
  let total = 0;
  for (let seed = 0; seed < seeds; seed++) {
    const spans = Array.from({ length: traces }, (_, i) => ({ trace: `mean-${seed}-${i}`, failed: i % 60 === 0 }));
    for (const weight of weights(seasoned(policy), [frame(spans, policy)]).values()) total += weight;
  }
  const deviation = Math.sqrt((seeds * traces * (1 - keepShare)) / keepShare);
  expect(Math.abs(total - seeds * traces)).toBeLessThan(3 * deviation);
});

test("a trace that failed, is slow for its operation or is cited is kept and stands for itself, in any order of its spans", () => {
  const policy = policyOf({ keepShare: 0 });
  const spans: SentSpan[] = [
    { trace: "failed", name: "GET /orders" },
    { trace: "failed", span: 1, parent: 0, service: "db", failed: true },
    { trace: "slow", ms: 25 },
    { trace: "slow", span: 1, parent: 0, service: "db", ms: 1 },
    { trace: "cited" },
    { trace: "usual", ms: 12 },
    { trace: "usual", span: 1, parent: 0, service: "db", ms: 5_000 },
  ];
  fc.assert(
    fc.property(
      fc.shuffledSubarray(spans, { minLength: spans.length }),
      fc.integer({ min: 1, max: 7 }),
      (order, cut) => {
        // Two services' batches of the same traces.
        const frames = [frame(order.slice(0, cut), policy), frame(order.slice(cut), policy)];
        const decided = weights(seasoned(policy), frames, new Set([traceId("cited")]));
        expect([decided.get(traceId("failed")), decided.get(traceId("slow")), decided.get(traceId("cited"))]).toEqual([
          1, 1, 1,
        ]);
        expect(decided.get(traceId("usual"))).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});

test("clocks that are hours apart make no trace slow", () => {
  const policy = policyOf({ keepShare: 0 });
  const decided = weights(seasoned(policy), [
    frame(
      [
        { trace: "skew", ms: 12 },
        { trace: "skew", span: 1, parent: 0, service: "db", ms: 3, skewMs: -7_200_000 },
      ],
      policy,
    ),
  ]);
  expect(decided.get(traceId("skew"))).toBe(0);
});

test("of equal durations none is slow", () => {
  const policy = policyOf({ keepShare: 0 });
  const memory = new TraceMemory();
  const same = (name: string, count: number) =>
    frame(
      Array.from({ length: count }, (_, i) => ({ trace: `${name}${i}`, ms: 30 })),
      policy,
    );
  weights(memory, [same("a", 100)]);
  const later = weights(memory, [same("b", 500)]);
  expect([...later.values()].filter((weight) => weight > 0).length).toBeLessThan(10);
});

test("of an operation that nobody knows yet every trace is kept until it can be told what is slow", () => {
  const decided = weights(new TraceMemory(), [
    frame(
      Array.from({ length: 500 }, (_, i) => ({ trace: `young-${i}` })),
      policyOf({ keepShare: 0 }),
    ),
  ]);
  // 1 / (1 - 0.95) of them.
  expect([...decided.values()].slice(0, 20)).toEqual(Array(20).fill(1));
  expect([...decided.values()].slice(20).filter((weight) => weight > 0).length).toBeLessThan(10);
});

test("of a rare operation the first of each minute are kept, however small the share", () => {
  const policy = policyOf({ keepShare: 0, minPerMinute: 6 });
  const memory = seasoned(policyOf({ keepShare: 0 }));
  const kept = (minute: number) => {
    const spans = Array.from({ length: 50 }, (_, i) => ({ trace: `rare-${minute}-${i}`, ms: 12 }));
    return [...weights(memory, [frame(spans, policy)], none, minute * 60_000).values()].filter((w) => w === 1).length;
  };
  expect([kept(2), kept(3)]).toEqual([6, 6]);
});

describe("what comes after the decision", () => {
  const policy = policyOf({ keepShare: 0.3 });
  function decideTwice(trace: string, late: SentSpan) {
    const memory = seasoned(policy);
    const first = [frame([{ trace, span: 1, parent: 0, ms: 3 }], policy)];
    const before = weights(memory, first).get(traceId(trace));
    memory.keep(new Map([[key, new Map([[traceId(trace), before!]])]]), "w-1");
    memory.release(first);
    return { before, after: weights(memory, [frame([late], policy)]).get(traceId(trace)) };
  }

  test("follows it, be it kept or not", () => {
    const seen = new Set<number>();
    for (let i = 0; i < 40; i++) {
      const { before, after } = decideTwice(`late-${i}`, { trace: `late-${i}`, ms: 12 });
      expect(after).toBe(before);
      seen.add(before!);
    }
    expect([...seen].sort()).toEqual([0, 1 / 0.3]);
  });

  test("is kept and stands for itself when it failed or is slow, whatever the lot had said", () => {
    for (let i = 0; i < 20; i++) {
      expect(decideTwice(`bad-${i}`, { trace: `bad-${i}`, failed: true }).after).toBe(1);
      expect(decideTwice(`slow-${i}`, { trace: `slow-${i}`, ms: 500 }).after).toBe(1);
    }
  });
});

test("what is over is forgotten", () => {
  const memory = new TraceMemory();
  const one = frame([{ trace: "a" }, { trace: "b" }]);
  memory.learn(one);
  const decisions = memory.decide([one], () => none, 0);
  memory.keep(decisions, "w-1");
  memory.forget(decisions, "w-1");
  // Its rows are not stored yet.
  expect(memory.size).toBe(2);
  memory.release([one]);
  memory.forget(decisions, "w-1");
  expect(memory.size).toBe(0);
});
