// The program of the how-to page on recordings compiles, runs and says what the page says.
import { expect, test } from "vitest";
import { runPage } from "../page.fixture.ts";

test("record-for-replay.md", async () => {
  const stdout = await runPage("how-to/record-for-replay.md");
  expect(stdout.split("\n").filter((line) => line !== "" && !line.startsWith("{"))).toEqual([
    expect.stringMatching(
      /^call \{"mail":"user-\w+@example\.com","cents":4200,"account":"\[redacted\]"\} \{"receipt":"\[redacted\]","paid":true\}$/,
    ),
    expect.stringMatching(
      /^request \/accounts\/\[redacted\]\/payments \{"mail":"user-\w+@example\.com","cents":4200\}$/,
    ),
  ]);
});
