// Retry from a node: which paths name one, and that any other is refused before something is forgotten.
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { workflow } from "../workflows/workflow.ts";
import type { Engine } from "./engine.ts";
import { openEngine } from "./open-engine.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };
let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ log: silent });
});
afterAll(() => engine.close());

const pages = workflow("retried-pages")
  .input(z.object({}))
  .run("open", () => ({ opened: true }))
  .each(
    "pages",
    () => [0, 1],
    (page) =>
      page.each(
        "words",
        () => [0],
        (word) => word.run("count", () => ({ counted: 1 })),
      ),
  )
  .repeat("poll", (round) => round.run("ask", () => ({ ready: true })), { until: ({ ready }) => ready, maxTimes: 3 })
  .run("last", () => {
    throw new Error("broken");
  });

const refused = [
  "",
  "nothing",
  "count",
  "words[0]/count",
  "pages[0]/count",
  "pages/words/count",
  "pages[x]/words[0]/count",
  "open[0]",
  "pages[0]/open",
  "poll[0]/words[0]/count",
  "pages[2]",
  "pages[0]/words[1]/count",
  "poll[1]/ask",
];

test.each(refused)("a path that names no node of the run is refused: %j", async (from) => {
  const runId = `refused ${from}`;
  await expect(engine.execute(pages, {}, { runId })).rejects.toThrow("broken");
  const before = await engine.run(runId);
  await expect(engine.retry(runId, { from })).rejects.toMatchObject({ code: "not_found" });
  expect(await engine.run(runId)).toEqual(before);
});

const taken = ["open", "pages", "pages[1]", "pages[0]/words", "pages[1]/words[0]/count", "poll[0]/ask", "last"];
test.each(taken)("the path of a node, an item or a round that the run came to is taken: %j", async (from) => {
  const runId = `taken ${from}`;
  await expect(engine.execute(pages, {}, { runId })).rejects.toThrow("broken");
  await engine.retry(runId, { from });
});
