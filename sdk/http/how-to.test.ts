// The programs in the how-to pages on HTTP and the client compile, run and say what the pages say.
import { expect, test } from "vitest";
import { runPage } from "../page.fixture.ts";

const lines = (stdout: string) => stdout.split("\n").filter((line) => line !== "" && !line.startsWith("{"));

test("serve-http.md", async () => {
  expect(lines(await runPage("how-to/serve-http.md"))).toEqual(["done"]);
});

test("call-from-a-client.md", async () => {
  const printed = lines(await runPage("how-to/call-from-a-client.md"));
  expect(printed.slice(0, 4)).toEqual(["2", "1", "0", "left 0"]);
  expect(printed.at(-1)).toBe("run.done");
});
