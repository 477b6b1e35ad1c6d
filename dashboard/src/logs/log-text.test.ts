// Log text: JSON lines are shown by their message, everything else as it is.
import { expect, test } from "vitest";
import { readLogText } from "./log-text.ts";

test("a line of a JSON logger is its message and the fields that are not shown elsewhere", () => {
  const text = JSON.stringify({ level: "info", time: 1, msg: "listening", port: 3000, tags: ["a"] });
  expect(readLogText(text)).toEqual({ message: "listening", rest: 'port=3000 tags=["a"]' });
});

test("text, broken JSON and JSON without a message stay as they are", () => {
  for (const text of ["plain", "{not json", '{"a":1}', "[1]"]) {
    expect(readLogText(text)).toEqual({ message: text, rest: "" });
  }
});
