// Triggers on whole engines, in memory and on Postgres: each kind leads to a run that knows where it is from.
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { openEngine } from "../engine/open-engine.ts";
import { type PostgresFixture, startPostgres } from "../engine/postgres.fixture.ts";
import { procedure } from "../procedures/procedure.ts";
import { createRegistry } from "../registry.ts";
import { event } from "../workflows/event.ts";
import { workflow } from "../workflows/workflow.ts";
import { cron } from "./cron.ts";
import { enqueue } from "./enqueue.ts";
import { handleWebhook } from "./handle-webhook.ts";
import { none } from "./none.ts";
import { onEvent } from "./on-event.ts";
import { queue } from "./queue.ts";
import { silent } from "./triggers.fixture.ts";
import { webhook } from "./webhook.ts";

const note = procedure({
  name: "note",
  input: z.object({ text: z.string() }),
  output: z.object({ by: z.string().optional() }),
  handler: (_input, ctx) => ({ by: ctx.principal?.id }),
});
const noting = workflow("noting")
  .input(z.object({ text: z.string() }))
  .step(note);
const said = event({ name: "said", payload: z.object({ text: z.string().transform((text) => text.length) }) });
const Text = z.object({ text: z.string() });

const ticks = cron({
  name: "ticks",
  schedule: "* * * * * *",
  workflow: noting,
  principal: { id: "clock" },
  input: (at) => ({ text: at.toISOString() }),
});
const hook = webhook({ name: "hook", verify: none(), payload: Text, workflow: noting, input: (payload) => payload });
const texts = queue({ name: "texts", message: Text, workflow: noting, input: (message) => message });
const long = onEvent({
  name: "long",
  event: said,
  filter: ({ text }) => text > 3,
  workflow: noting,
  input: ({ text }) => ({ text: `${text} letters` }),
});

let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
}, 60_000);
afterAll(() => postgres.stop());

describe.each(["memory", "Postgres"])("in %s", (where) => {
  async function open(databaseUrl?: string) {
    const url = databaseUrl ?? (where === "Postgres" ? await postgres.database() : undefined);
    const engine = await openEngine({ log: silent, ...(url ? { databaseUrl: url } : {}) });
    onTestFinished(() => engine.close());
    return { engine, url };
  }

  test("a webhook's delivery and a message are runs, found by their trigger", async () => {
    const { engine } = await open();
    await engine.work(createRegistry([hook, texts]));
    const deliver = () =>
      handleWebhook(hook, engine, new Request("http://app/", { method: "POST", body: '{"text":"a"}' }), {
        log: silent,
      });
    const { runId } = (await (await deliver()).json()) as { runId: string };
    const again = await deliver();
    expect(again.status).toBe(200);
    expect(await again.json()).toEqual({ runId });
    await Promise.all([1, 2, 3].map(() => enqueue(engine, texts, { text: "b" }, { id: "m1" })));
    await enqueue(engine, texts, { text: "c" }, { id: "m2" });
    // The same id with other contents: what was begun stands.
    await enqueue(engine, texts, { text: "other" }, { id: "m1" });
    await vi.waitFor(async () => {
      const runs = await engine.runs({ state: "done" });
      expect(runs.map(({ origin }) => origin)).toHaveLength(3);
    }, 10_000);
    const id = runId.replace("webhook:hook:", "");
    expect(await engine.runs({ originName: "hook" })).toMatchObject([
      { runId, origin: { kind: "webhook", name: "hook", id }, output: { text: "a" } },
    ]);
    const messages = await engine.runs({ originName: "texts" });
    expect(messages.map(({ origin, output }) => [origin.id, (output as { text: string }).text]).sort()).toEqual([
      ["m1", "b"],
      ["m2", "c"],
    ]);
  });

  test("an event starts the runs of triggers whose filter it passes, once by its id", async () => {
    const { engine } = await open();
    await engine.work(createRegistry([long]));
    await engine.publish(said, { text: "no" }, { id: "e1" });
    await engine.publish(said, { text: "a long one" }, { id: "e2" });
    await engine.publish(said, { text: "a long one" }, { id: "e2" });
    await vi.waitFor(async () => expect(await engine.runs({ state: "done" })).toHaveLength(1), 10_000);
    expect(await engine.runs({ originName: "long" })).toMatchObject([
      { runId: "event:long:e2", origin: { kind: "event", name: "long", id: "e2" }, output: { text: "10 letters" } },
    ]);
  });

  test("a cron fires by the work of the engine, on behalf of whom it says, and stops with it", async () => {
    const { engine } = await open();
    await engine.work(createRegistry([ticks]));
    await vi.waitFor(async () => expect((await engine.runs({ state: "done" })).length).toBeGreaterThan(1), 10_000);
    const [run] = await engine.runs({ originName: "ticks", state: "done" });
    const at = (run!.output as { text: string }).text;
    expect(run).toMatchObject({
      runId: `cron:ticks:${at}`,
      origin: { kind: "cron", name: "ticks", id: at },
      output: { by: "clock" },
    });
    expect(run!.startedAt.getTime()).toBeGreaterThanOrEqual(Date.parse(at));
  });
});
