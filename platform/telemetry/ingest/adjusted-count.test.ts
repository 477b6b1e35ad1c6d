// Adjusted counts: as OpenTelemetry's probability sampling defines them, from whatever stands in a trace state.
import { TraceFlags } from "@opentelemetry/api";
import { expect, test } from "vitest";
import { HeadSampler } from "../../../sdk/tracing/head-sampling.ts";
import { adjustedCount } from "./adjusted-count.ts";

test("the threshold of the trace state says how many spans one stands for", () => {
  expect(adjustedCount("ot=th:0")).toBe(1);
  expect(adjustedCount("ot=th:8")).toBe(2);
  expect(adjustedCount("ot=th:c")).toBe(4);
  expect(adjustedCount("ot=th:fd70a3d70a3d71")).toBeCloseTo(100, 6);
  expect(adjustedCount("vendor=x,ot=rv:0123456789abcd;th:c , other=th:8")).toBe(4);
  expect(adjustedCount("ot=th:ffffffffffffff")).toBe(2 ** 56);
});

test("what is no threshold counts as one", () => {
  for (const state of [
    "",
    "vendor=1",
    "ot=rv:8",
    "ot=th:",
    "ot=th:xyz",
    "ot=th:0123456789abcdef",
    "not=th:c",
    "ot=sth:c",
  ]) {
    expect(adjustedCount(state), state).toBe(1);
  }
});

test("what the SDK's head sampling records is read back as its ratio", () => {
  for (const ratio of [0.5, 0.1, 0.001]) {
    const sampler = new HeadSampler("traceidratio", String(ratio));
    const parent = { traceId: "a".repeat(32), spanId: "b".repeat(16), traceFlags: TraceFlags.SAMPLED };
    for (const state of [
      sampler.stateOf(undefined),
      sampler.stateOf({ ...parent, traceState: sampler.stateOf(undefined)! }),
    ]) {
      expect(adjustedCount(state!.serialize()) * ratio).toBeCloseTo(1, 6);
    }
  }
});
