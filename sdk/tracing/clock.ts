// Clock: span times as milliseconds since the process began, and what they are on the wall.
import type { HrTime, TimeInput } from "@opentelemetry/api";

// Kept before a deterministic replay replaces it.
const wallNow = Date.now;
// A wall clock that was set anew, or a machine that slept, is off by more; network time nudges it by less.
const toleranceMs = 100;

// A number is a time of `performance.now()` below this (three years), and one since the epoch from here (1973) on.
const longestLife = 1e11;

let origin = performance.timeOrigin;

/** Monotonic, milliseconds. */
export const monotonic = (): number => performance.now();

/** Follows the wall clock; called now and then, never between the start and the end of one encoding. */
export function followWall(): void {
  const now = wallNow() - performance.now();
  if (Math.abs(now - origin) > toleranceMs) origin = now;
}

/** Milliseconds since the epoch, with fractions. */
export const onWall = (at: number): number => origin + at;

export function hrTimeOf(at: number): HrTime {
  const wall = onWall(at);
  return [Math.floor(wall / 1000), Math.round((wall % 1000) * 1e6)];
}

/** What OpenTelemetry takes as a time: HrTime, Date, milliseconds since the epoch, or `performance.now()`. */
export function fromTimeInput(time: TimeInput | undefined): number {
  if (time === undefined || time === null) return performance.now();
  if (typeof time === "number") return time < longestLife ? time : time - origin;
  if (Array.isArray(time)) return time[0] * 1000 - origin + time[1] / 1e6;
  return Number(time) - origin;
}
