// The greeting, called by itself and in a run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { call, openEngine } from "@tsdev/sdk";
import { greet, welcome } from "./greeting.ts";

test("a guest is greeted by name", async () => {
  assert.deepEqual(await call(greet, { name: "Ada" }), { greeting: "Hello, Ada!" });
});

test("a run of the workflow ends with all that its steps have added", async () => {
  const engine = await openEngine();
  const end = await engine.execute(welcome, { name: "Ada" });
  assert.equal(end.letters, 11);
  await engine.close();
});
