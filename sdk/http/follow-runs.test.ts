// The program of the how-to page on events of runs compiles, runs and says what the page says.
import { expect, test } from "vitest";
import { runPage } from "../page.fixture.ts";

test("follow-runs.md", async () => {
  const stdout = await runPage("how-to/follow-runs.md");
  expect(stdout.split("\n").filter((line) => line !== "" && !line.startsWith("{"))).toEqual([
    "1 run.started ",
    "2 step.finished measure",
    "3 run.waiting ",
    "4 approval.answered editor",
    "5 run.done ",
    "204",
    "approval.answered",
    "run.done",
    "measure after 1 attempt",
  ]);
});
