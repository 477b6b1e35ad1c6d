// Events of a run across instances: a follower whose instance stops goes on at another, with none lost and none twice.
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { createClient } from "../client/index.ts";
import { openEngine } from "../engine/open-engine.ts";
import { type PostgresFixture, startPostgres } from "../engine/postgres.fixture.ts";
import { procedure } from "../procedures/procedure.ts";
import { workflow } from "../workflows/workflow.ts";
import { createApp } from "./create-app.ts";
import { type Server, serve } from "./serve.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const add = procedure({
  name: "add",
  input: z.object({ item: z.int() }),
  output: z.object({ more: z.int() }),
  handler: ({ item }) => ({ more: item + 1 }),
});
const long = workflow("long")
  .input(z.object({ items: z.array(z.int()) }))
  .approve("go")
  .each(
    "sums",
    ({ items }) => items,
    (item) => item.step(add),
  )
  .approve("end");

let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres?.stop());

async function instance(): Promise<Server> {
  const engine = await openEngine({ databaseUrl: postgres.url, log: silent, leaseMs: 2_000 });
  const app = createApp({ workflows: [long], engine, control: "open" });
  return serve(app, { port: 0, drainMs: 0, engine });
}

test("a follower goes on at another instance after each break, with no event lost or twice", async () => {
  const [first, second] = [await instance(), await instance()];
  try {
    const client = createClient<readonly [typeof long]>({ baseUrl: first.url });
    const run = await client.workflows.long.start({ items: Array.from({ length: 40 }, (_, index) => index) });
    // As a router does: each request goes to another instance, and every fifth event the connection is cut.
    let requests = 0;
    let live = 2;
    const switching: typeof fetch = async (url, init) => {
      const to = live === 1 || requests++ % 2 === 1 ? second : first;
      const response = await fetch(String(url).replace("http://router", to.url), init);
      if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
      return new Response(cutAfter(response.body!, 5), response);
    };
    const follower = createClient<readonly [typeof long]>({ baseUrl: "http://router", fetch: switching });
    const seen: { seq: number; type: string }[] = [];
    for await (const { seq, type } of follower.workflows.long.run(run.runId).events()) {
      seen.push({ seq, type });
      if (type !== "run.waiting") continue;
      const { waits } = (await (await fetch(`${second.url}/workflows/long/runs/${run.runId}`)).json()) as {
        waits: { node: string }[];
      };
      const node = waits[0]?.node;
      const at = createClient<readonly [typeof long]>({ baseUrl: second.url }).workflows.long.run(run.runId);
      if (node === "end") {
        live = 1;
        await first.stop();
      }
      if (node) await at.approve(node, { approved: true });
    }
    expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, index) => index + 1));
    expect(seen.at(-1)?.type).toBe("run.done");
    expect(seen.filter(({ type }) => type === "step.finished").length).toBeGreaterThanOrEqual(40);
    expect(requests).toBeGreaterThan(5);
  } finally {
    await first.stop();
    await second.stop();
  }
});

/** Breaks a stream off after so many events, in the middle of the next. */
function cutAfter(body: ReadableStream<Uint8Array>, events: number): ReadableStream<Uint8Array> {
  let left = events;
  const reader = body.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) return controller.close();
      // A chunk may hold many events.
      const parts = new TextDecoder().decode(value).split(/(?<=\n\n)/);
      const whole: string[] = [];
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        if (part.includes("data: ") && left-- === 0) break;
        whole.push(part);
      }
      if (left >= 0) return controller.enqueue(value);
      controller.enqueue(new TextEncoder().encode(`${whole.join("")}id: 9`));
      await reader.cancel();
      controller.error(new TypeError("the connection broke"));
    },
  });
}
