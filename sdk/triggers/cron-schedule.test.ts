// What a line of a schedule means, on the days when clocks change too.
import { expect, test } from "vitest";
import { z } from "zod";
import { workflow } from "../workflows/workflow.ts";
import { cron } from "./cron.ts";
import { parseSchedule } from "./cron-schedule.ts";

const report = workflow("report").input(z.object({})).sleep("a", { ms: 1 });

/** The next times after one, as UTC. */
function next(schedule: string, timeZone: string, after: string, count: number): string[] {
  const parsed = parseSchedule(schedule, timeZone);
  const times: string[] = [];
  for (let at: Date | undefined = new Date(after); times.length < count; ) {
    at = parsed.next(at);
    if (!at) break;
    times.push(at.toISOString().replace(":00.000Z", "Z"));
  }
  return times;
}

test("a time that a gap leaves out fires when the gap ends", () => {
  // 02:00 becomes 03:00 in Berlin; in Santiago midnight becomes 01:00.
  expect(next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2)).toEqual([
    "2026-03-29T01:00Z",
    "2026-03-30T00:30Z",
  ]);
  expect(next("0 0 * * *", "America/Santiago", "2026-09-05T12:00:00Z", 2)).toEqual([
    "2026-09-06T04:00Z",
    "2026-09-07T03:00Z",
  ]);
});

test("a time that comes twice fires once, and what goes by the hour goes on by the hour", () => {
  expect(next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2)).toEqual([
    "2026-10-25T00:30Z",
    "2026-10-26T01:30Z",
  ]);
  expect(next("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:40:00Z", 4)).toEqual([
    "2026-10-25T00:00Z",
    "2026-10-25T00:30Z",
    "2026-10-25T01:00Z",
    "2026-10-25T01:30Z",
  ]);
});

test("five fields, six fields, names and nicknames are read", () => {
  const at = "2026-11-24T15:00:30Z";
  expect(next("0 9 * * MON-FRI", "UTC", at, 4).at(-1)).toBe("2026-11-30T09:00Z");
  expect(next("*/20 * * * * *", "UTC", at, 1)).toEqual(["2026-11-24T15:00:40.000Z"]);
  expect(next("@daily", "America/New_York", at, 1)).toEqual(["2026-11-25T05:00Z"]);
  expect(next("@midnight", "UTC", at, 1)).toEqual(["2026-11-25T00:00Z"]);
  expect(next("0 0 29 2 *", "UTC", at, 1)).toEqual(["2028-02-29T00:00Z"]);
  // A day of the month and a weekday: either will do, as in every cron.
  expect(next("0 0 13 * FRI", "UTC", "2026-12-10T00:00:00Z", 2)).toEqual(["2026-12-11T00:00Z", "2026-12-13T00:00Z"]);
});

test.each([
  ["61 * * * *", "UTC", "Invalid value for minute: 61"],
  ["* * *", "UTC", "neither five nor six fields"],
  ["* * * * * * 2027", "UTC", "neither five nor six fields"],
  ["2026-12-01T00:00:00", "UTC", "neither five nor six fields"],
  ["@reboot", "UTC", "neither five nor six fields"],
  ["0 0 30 2 *", "UTC", "no day ever fits it"],
  ["* * * * *", "Mars/Olympus", 'there is no time zone "Mars/Olympus"'],
])("%s in %s is refused with the reason", (schedule, timeZone, reason) => {
  expect(() => parseSchedule(schedule, timeZone)).toThrow(reason);
});

test("of more times than asked for the latest are given, however long the time between", () => {
  const schedule = parseSchedule("* * * * * *", "Europe/Berlin");
  const until = new Date("2026-10-25T01:00:00.500Z");
  const began = performance.now();
  const { times, more } = schedule.between(new Date("1990-01-01T00:00:00Z"), until, 3);
  expect(performance.now() - began).toBeLessThan(200);
  expect(more).toBe(true);
  expect(times.map((at) => at.toISOString().slice(11, 19))).toEqual(["00:59:58", "00:59:59", "01:00:00"]);
  const all = schedule.between(new Date("2026-10-25T00:59:58Z"), new Date("2026-10-25T01:00:00Z"), 3);
  expect(all).toMatchObject({ more: false, times: { length: 2 } });
});

test("what is said of missed times is one of three", () => {
  const parts = { name: "nightly", schedule: "0 3 * * *", workflow: report, input: () => ({}) };
  expect(() => cron({ ...parts, missed: "maybe" as never })).toThrow(/cron "nightly": missed is "maybe"/);
  expect(cron({ ...parts, missed: "all" }).missed).toBe("all");
});
