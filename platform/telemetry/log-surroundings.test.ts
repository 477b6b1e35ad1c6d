// Lines around a match: of each source by itself, as much as was asked for, none twice.
import { expect, test } from "vitest";
import { LogSurroundings } from "./log-surroundings.ts";

test("lines of another instance are not between those of one, and are not taken for its own", () => {
  const around = new LogSurroundings<string>(
    1,
    (row) => row.endsWith("!"),
    (row) => row[0]!,
  );
  const shown = ["a1", "b1", "a2", "b2", "a3!", "b3", "a4", "b4!", "a5"].flatMap((row) => around.take(row));
  expect(shown.map(({ row, context }) => `${row}${context ? " beside" : ""}`)).toEqual([
    ...["a2 beside", "a3!", "a4 beside", "b3 beside", "b4!"],
  ]);
});

test("without context only matches come, and nothing is remembered", () => {
  const around = new LogSurroundings<string>(
    0,
    (row) => row === "x",
    () => "",
  );
  expect(["a", "x", "b"].flatMap((row) => around.take(row))).toEqual([{ row: "x", context: false }]);
});
