// Pieces: what lies outside is left out, what cannot be told apart is one bar, and errors stay apart.
import { expect, test } from "vitest";
import { pieces } from "./pieces.ts";

const view = { start: 100, end: 200 };

test("a bar is cut at the edges of what is shown, and one outside is left out", () => {
  const bars = [
    { start: 50, end: 150, className: "a" },
    { start: 180, end: 400, className: "a" },
    { start: 300, end: 400, className: "a" },
  ];
  expect(pieces(bars, view)).toEqual([
    { left: 0, width: 50, className: "a" },
    { left: 80, width: 20, className: "a" },
  ]);
});

test("ten thousand bars that touch are one, except for a failed one among them", () => {
  const bars = Array.from({ length: 10_000 }, (_, index) => ({
    start: 100 + index / 100,
    end: 100 + (index + 1) / 100,
    className: index === 5_000 ? "a error" : "a",
  }));
  expect(pieces(bars, view).map(({ className }) => className)).toEqual(["a", "a error", "a"]);
});
