// The program in docs/how-to/write-a-workflow.md compiles, runs and says what the page says.
import { expect, test } from "vitest";
import { runPage } from "../page.fixture.ts";

test("the how-to's program compiles and runs", async () => {
  const stdout = await runPage("how-to/write-a-workflow.md");
  expect(stdout).toMatch(/^o1: 4200-[0-9a-f]{8} true true$/m);
  expect(stdout).toContain("kim [ { box: 'box of tea' }, { box: 'box of cup' } ] 200 sea noon");
  expect(stdout).toMatch(/^refunded 4200$/m);
  expect(stdout).toMatch(/manager/);
  expect(stdout).toMatch(/^step_failed email workflow "checkout": step "validateOrder" failed after 1 attempt: /m);
});
