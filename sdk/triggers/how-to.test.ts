// The program in docs/how-to/start-runs-by-triggers.md compiles, runs and says what the page says.
import { expect, test } from "vitest";
import { runPage } from "../page.fixture.ts";

test("the how-to's program compiles and runs", async () => {
  const stdout = await runPage("how-to/start-runs-by-triggers.md");
  expect(stdout).toContain("[ 'nightly', 'on-push', 'pages' ]\n");
  expect(stdout).toContain("202 200\n");
  expect(stdout).toContain("queue:pages:about-1\n");
});
