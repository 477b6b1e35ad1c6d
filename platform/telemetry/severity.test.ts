// Severity of a printed line: from JSON levels and level words, not from words within a sentence.
import { expect, test } from "vitest";
import { guessSeverity, severityNumber, severityOf } from "./severity.ts";

test.each([
  ['{"level":50,"msg":"pino"}', "stdout", "error"],
  ['{"level":"warning","message":"winston"}', "stdout", "warn"],
  ['{"severity":"CRITICAL"}', "stdout", "fatal"],
  ['{"broken', "stdout", "info"],
  ["[ERROR] no connection", "stdout", "error"],
  ["2026-11-24T11:00:00.000Z WARN slow", "stdout", "warn"],
  ["warn: deprecated", "stdout", "warn"],
  ["(node:7) Warning: something", "stderr", "warn"],
  ["TypeError: x is not a function", "stdout", "error"],
  ["Uncaught RangeError: too deep", "stdout", "error"],
  ["no error found", "stdout", "info"],
  ["the error page was shown", "stdout", "info"],
  ["listening on 3000", "stdout", "info"],
  ["listening on 3000", "stderr", "error"],
  ["DEBUG query took 3 ms", "stderr", "debug"],
] as const)("%s on %s is %s", (text, stream, severity) => {
  expect(guessSeverity(text, stream)).toBe(severity);
});

test("numbers and words fit each other", () => {
  expect([1, 4, 5, 9, 12, 13, 17, 20, 21, 24, 0].map(severityOf)).toEqual([
    "trace",
    "trace",
    "debug",
    "info",
    "info",
    "warn",
    "error",
    "error",
    "fatal",
    "fatal",
    "info",
  ]);
  expect(severityOf(severityNumber("warn"))).toBe("warn");
});
