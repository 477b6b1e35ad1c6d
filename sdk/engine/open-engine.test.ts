// What openEngine is given is looked at before it is used.
import { expect, test } from "vitest";
import type { EngineOptions } from "./engine.ts";
import { openEngine } from "./open-engine.ts";

test.each([
  ["another database", { databaseUrl: "mysql://u:secret@localhost/x" }, "begins with mysql:", "databaseUrl"],
  ["no address", { databaseUrl: "not an address" }, "no address of a Postgres database", "databaseUrl"],
  ["an option that there is not", { databaseURL: "postgres://localhost/x" }, 'no option "databaseURL"', "databaseURL"],
])("%s is refused by name", async (_what, options, message, path) => {
  const error = await openEngine(options as EngineOptions).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "invalid_config", message: expect.stringContaining(message), path });
  expect(JSON.stringify(error)).not.toContain("secret");
});

test("without an address runs are in memory, also where the variable is empty", async () => {
  for (const databaseUrl of [undefined, ""]) await (await openEngine({ databaseUrl })).close();
});
