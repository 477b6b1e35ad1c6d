// TsdevError of whatever was thrown: anything can be, and its text reaches a person.
import { expect, test } from "vitest";
import { TsdevError } from "./errors.ts";

const circle: { self?: unknown } = {};
circle.self = circle;

test.each([
  ["an error", new Error("away"), "away"],
  ["a text", "away", "away"],
  ["an object with a message", { message: "away", code: 7 }, "away"],
  ["an object", { status: 418, why: "tea" }, 'an object was thrown: {"status":418,"why":"tea"}'],
  ["an object that is in itself", circle, "an object was thrown that has no text"],
  ["a number", 7, "7"],
])("%s that was thrown is told by what it says", (_what, thrown, message) => {
  expect(TsdevError.from(thrown)).toMatchObject({ code: "internal", message, cause: thrown });
});
