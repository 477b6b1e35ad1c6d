// The log: one line of JSON whatever the fields are.
import { expect, test, vi } from "vitest";
import { createLog } from "./log.ts";

test("a line carries level, message, fields and an error's stack, and survives circles and bigints", () => {
  const lines: string[] = [];
  const write = vi.spyOn(process.stderr, "write").mockImplementation((line) => lines.push(String(line)) > 0);
  const circle: Record<string, unknown> = { n: 1n };
  circle.self = circle;
  createLog({ component: "c" }).error("went\nwrong", { circle, error: new Error("why") });
  write.mockRestore();
  expect(lines).toHaveLength(1);
  expect(lines[0]?.split("\n")).toHaveLength(2);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    level: "error",
    message: "went\nwrong",
    component: "c",
    circle: { n: "1" },
    error: { message: "why", stack: expect.stringContaining("log.test.ts") },
  });
});
