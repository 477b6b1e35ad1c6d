// Times of a query: durations, ISO times, and cursors that nobody can forge into SQL.
import { expect, test } from "vitest";
import { Cursor, Since, toCursor } from "./time-range.ts";

test("a duration is that long ago, an ISO time is itself", () => {
  const now = Date.now();
  expect(Math.abs(Since.parse("15m") - (now - 900_000))).toBeLessThan(1_000);
  expect(Math.abs(Since.parse(" 7d ") - (now - 7 * 86_400_000))).toBeLessThan(1_000);
  expect(Since.parse("2026-11-24T10:00:00Z")).toBe(Date.UTC(2026, 10, 24, 10));
  expect(Since.parse("2026-11-24")).toBe(Date.UTC(2026, 10, 24));
});

test.each(["yesterday", "1", "1y", "-1h", "", "99999999999d", "'; DROP"])("%j is refused with what to use", (text) => {
  expect(Since.safeParse(text).error?.issues[0]?.message).toContain("15m");
});

test("a cursor comes back as it was made, anything else is refused", () => {
  expect(Cursor.parse(toCursor(["123", "abc0"]))).toEqual(["123", "abc0"]);
  for (const forged of [
    "x",
    "",
    Buffer.from('["1","2\'"]').toString("base64url"),
    Buffer.from("[1]").toString("base64url"),
  ]) {
    expect(Cursor.safeParse(forged).success).toBe(false);
  }
});
