// Head sampling: the names and the argument of OpenTelemetry's variables, decided by the trace's id.
import { createTraceState, TraceFlags } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { HeadSampler } from "./head-sampling.ts";
import { newTraceIds } from "./span.ts";

const keepsAny = (sampler: HeadSampler) => {
  const { trace2, trace3 } = newTraceIds();
  return sampler.keeps(trace2, trace3);
};
const sampled = {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  traceFlags: TraceFlags.SAMPLED,
};
const unsampled = { ...sampled, traceFlags: TraceFlags.NONE };

test.each([
  ["always_on", undefined, true],
  ["always_off", undefined, false],
  ["parentbased_always_on", undefined, true],
  ["parentbased_always_off", undefined, false],
  ["traceidratio", "1", true],
  ["traceidratio", "0", false],
  ["traceidratio", "nonsense", true],
  ["nonsense", undefined, true],
  [undefined, undefined, true],
])("%s with %s keeps a new trace: %s", (name, argument, kept) => {
  const sampler = new HeadSampler(name, argument);
  for (let index = 0; index < 100; index++) expect(keepsAny(sampler)).toBe(kept);
});

test("a ratio keeps that share of traces", () => {
  for (const ratio of [0.01, 0.1, 0.5]) {
    const sampler = new HeadSampler("traceidratio", String(ratio));
    let kept = 0;
    for (let index = 0; index < 100_000; index++) if (keepsAny(sampler)) kept += 1;
    // Six standard deviations of a binomial distribution.
    expect(Math.abs(kept - ratio * 100_000)).toBeLessThan(6 * Math.sqrt(100_000 * ratio * (1 - ratio)));
  }
});

test("the decision is the one of consistent probability sampling, at both sides of the threshold", () => {
  const sampler = new HeadSampler("traceidratio", "0.5");
  // Randomness is the last 56 bits; the threshold of one half is 0x80000000000000.
  expect(sampler.keeps(0x0080_0000, 0)).toBe(true);
  expect(sampler.keeps(0xff80_0000 | 0, 0)).toBe(true);
  expect(sampler.keeps(0x007f_ffff, -1)).toBe(false);
  expect(sampler.stateOf(undefined)?.serialize()).toBe("ot=th:8");
});

test("what a higher ratio drops, a lower one drops too", () => {
  const [low, high] = [new HeadSampler("traceidratio", "0.1"), new HeadSampler("traceidratio", "0.3")];
  for (let index = 0; index < 10_000; index++) {
    const { trace2, trace3 } = newTraceIds();
    if (low.keeps(trace2, trace3)) expect(high.keeps(trace2, trace3)).toBe(true);
  }
});

test("a parent's decision counts for samplers based on it, and only for those", () => {
  expect(new HeadSampler("parentbased_always_off", undefined).keepsBelow(sampled, 0, 0)).toBe(true);
  expect(new HeadSampler("parentbased_always_on", undefined).keepsBelow(unsampled, 0, 0)).toBe(false);
  expect(new HeadSampler("parentbased_traceidratio", "0").keepsBelow(sampled, 0, 0)).toBe(true);
  expect(new HeadSampler("always_on", undefined).keepsBelow(unsampled, 0, 0)).toBe(true);
  expect(new HeadSampler("traceidratio", "0").keepsBelow(sampled, -1, -1)).toBe(false);
});

test("the trace state tells the ratio beside what others wrote there, and a parent's ratio stays", () => {
  const parent = { ...sampled, traceState: createTraceState("vendor=1") };
  expect(new HeadSampler("traceidratio", "0.25").stateOf(parent)?.serialize()).toBe("ot=th:c,vendor=1");
  expect(new HeadSampler("parentbased_traceidratio", "0.25").stateOf(parent)?.serialize()).toBe("vendor=1");
  expect(new HeadSampler("always_on", undefined).stateOf(undefined)).toBeUndefined();
});

test("a sampler that decides for itself tells its own ratio, not its parent's, and leaves what else OpenTelemetry wrote", () => {
  const parent = { ...sampled, traceState: createTraceState("ot=th:c;rv:9b8233f7e3a151,vendor=1") };
  const stateOf = (name: string, ratio?: string) => new HeadSampler(name, ratio).stateOf(parent)?.serialize();
  expect(stateOf("traceidratio", "0.5")).toBe("ot=th:8;rv:9b8233f7e3a151,vendor=1");
  // All are recorded here: each stands for itself, whatever share the parent recorded.
  expect(stateOf("always_on")).toBe("ot=rv:9b8233f7e3a151,vendor=1");
  expect(stateOf("parentbased_always_on")).toBe("ot=th:c;rv:9b8233f7e3a151,vendor=1");
  const only = { ...sampled, traceState: createTraceState("ot=th:c") };
  expect(new HeadSampler("always_on", undefined).stateOf(only)).toBeUndefined();
});

test("randomness that came with the trace decides instead of the id", () => {
  const sampler = new HeadSampler("traceidratio", "0.5");
  const parent = (rv: string) => ({ ...sampled, traceState: createTraceState(`ot=rv:${rv}`) });
  expect(sampler.keepsBelow(parent("80000000000000"), 0, 0)).toBe(true);
  expect(sampler.keepsBelow(parent("7fffffffffffff"), -1, -1)).toBe(false);
});
