// What a step may return: it comes back as it was, or is refused by its place where it is returned, in memory as on Postgres.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { workflow } from "../workflows/workflow.ts";
import type { Engine } from "./engine.ts";
import { openEngine } from "./open-engine.ts";
import { type PostgresFixture, startPostgres } from "./postgres.fixture.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
let postgres: PostgresFixture;
const engines: Record<string, Engine> = {};
beforeAll(async () => {
  postgres = await startPostgres();
  engines.postgres = await openEngine({ databaseUrl: postgres.url, log: silent });
  engines.memory = await openEngine({ log: silent });
}, 60_000);
afterAll(async () => {
  for (const engine of Object.values(engines)) await engine.close();
  await postgres?.stop();
});
class Money {
  readonly amount = 5;
}

const returning = (value: unknown) =>
  workflow("returning")
    .input(z.object({}))
    .run("make", () => ({ made: value }))
    // The journal is read again after a wait.
    .sleep("pause", { ms: 1 })
    .run("read", ({ made }) => ({ again: made }));

describe.each(["postgres", "memory"])("on %s, what a step returns", (where) => {
  test.each<[string, unknown]>([
    ["a date", new Date(5)],
    ["a map of sets", new Map([["a", new Set([1n])]])],
    ["undefined in a list", [undefined, null, Number.NaN, -0]],
    ["a buffer", Buffer.from("hi\0")],
    ["bytes", new Uint8Array([0, 255])],
    ["a URL", new URL("http://localhost/x")],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 })],
  ])("comes back as it was: %s", async (name, value) => {
    const runId = `${where} ${name}`;
    const output = await engines[where]!.execute(returning(value), {}, { runId });
    expect(output).toEqual({ made: value, again: value });
    expect((await engines[where]!.run(runId))?.output).toEqual(output);
    expect((await engines[where]!.runs({ workflow: "returning" })).length).toBeGreaterThan(0);
  });

  test("that has no keys is refused, and with .as it is a key of its own", async () => {
    const bare = workflow("bare")
      .input(z.object({}))
      // The compiler refuses it where it knows the type.
      .run("count", () => 5 as unknown);
    await expect(engines[where]!.execute(bare, {})).rejects.toMatchObject({
      code: "step_failed",
      message: expect.stringContaining("a number, which has no keys"),
      fix: expect.stringContaining(".as("),
    });
    const named = workflow("named")
      .input(z.object({}))
      .run("count", () => [5])
      .as("counts");
    expect(await engines[where]!.execute(named, {})).toEqual({ counts: [5] });
  });

  test.each<[string, unknown, RegExp]>([
    ["a function", { list: [() => 1] }, /a function .* at made\.list\.0/],
    ["an instance", { price: new Money() }, /an instance of Money at made\.price/],
    ["a promise", Promise.resolve(1), /an instance of Promise at made/],
    ["a symbol", Symbol("x"), /a symbol at made/],
  ])("is refused by its place when it cannot: %s", async (name, value, message) => {
    const runId = `${where} no ${name}`;
    await expect(engines[where]!.execute(returning(value), {}, { runId })).rejects.toMatchObject({
      code: "step_failed",
      message: expect.stringMatching(message),
      fix: expect.stringContaining("plain data"),
    });
    expect(await engines[where]!.run(runId)).toMatchObject({ state: "failed" });
    expect((await engines[where]!.runs({ workflow: "returning" })).length).toBeGreaterThan(0);
  });
});
