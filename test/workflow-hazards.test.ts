// Mixed workflows with 4 workers that are killed and frozen, databases that crash, clocks that jump and messages that come
// twice: every run ends, and every effect is counted as its policy says. One short seed; `npm run test:hazards` runs more.
import { expect, test } from "vitest";
import { redisAvailable } from "../sdk/triggers/redis.fixture.ts";
import { hazardRun } from "./workflow-hazards/hazard-run.ts";

test("seed 3: every run ends as the model says, and no step's policy is broken", async () => {
  const hasRedis = await redisAvailable();
  const report = await hazardRun({ seed: 3, runs: 100 });
  expect(report.violations).toEqual([]);
  // It was hazardous.
  expect(report.kills).toBeGreaterThan(3);
  expect(report.suicides).toBeGreaterThan(0);
  expect(report.restarts).toBe(2);
  expect(report.redisRestarts).toBe(hasRedis ? 1 : 0);
  if (hasRedis) expect(report.redisMessages).toBeGreaterThan(3);
  expect(report.duplicates).toBeGreaterThan(50);
  expect(report.deaths).toBeGreaterThan(20);
  expect(report.renewed).toBeGreaterThan(0);
  expect(report.putDown).toBeGreaterThan(0);
  expect(report.states.done).toBeGreaterThan(20);
}, 600_000);
