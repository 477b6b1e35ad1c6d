// The programs of the how-to pages about development, integrations and composing compile, run and say what the pages say.
import { expect, test } from "vitest";
import { runPage } from "../page.fixture.ts";

test("develop locally", async () => {
  expect(await runPage("how-to/develop-locally.md")).toBe("loads: 1\n");
});

test("integrate an API", async () => {
  const stdout = await runPage("how-to/integrate-an-api.md");
  expect(stdout).toBe("Rex\nupstream_failed GET /pet/{petId} of petstore answered 401: who are you?\n");
});

test("compose a workflow", async () => {
  const stdout = await runPage("how-to/compose-a-workflow.md");
  expect(stdout).toContain('export const largeOrder = workflow("large-order")');
  expect(stdout).toContain('there is no procedure "loadOrdr" did you mean "loadOrder"?');
});
