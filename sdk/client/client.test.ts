// The typed client against a real server: calls, errors, streams, files, runs.
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { openEngine } from "../engine/open-engine.ts";
import { createApp } from "../http/create-app.ts";
import { type placeOrder, richApp } from "../http/rich-app.fixture.ts";
import { type Server, serve } from "../http/serve.ts";
import { procedure } from "../procedures/procedure.ts";
import { workflow } from "../workflows/workflow.ts";
import { type ClientError, createClient, isError } from "./index.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
type App = ReturnType<typeof richApp>;

let server: Server;
let client: ReturnType<typeof createClient<App>>;
beforeAll(async () => {
  const engine = await openEngine({ log: silent });
  server = await serve(richApp(engine), { port: 0, drainMs: 0, engine });
  client = createClient<App>({ baseUrl: server.url, token: "admin" });
});
afterAll(() => server.stop());

const failure = async (call: PromiseLike<unknown>): Promise<ClientError> =>
  call.then(
    () => expect.unreachable("it should reject"),
    (error) => error,
  );

describe("a call", () => {
  test("answers what JSON made of the output, and says so in its type", async () => {
    const order = await client.orders.get({ orderId: "o1" });
    expectTypeOf(order).toEqualTypeOf<{
      orderId: string;
      placedAt: string;
      items: { sku: string; count: number }[];
      totalCents: string;
      note: string | null;
    }>();
    expect(order).toEqual({
      orderId: "o1",
      placedAt: "2026-01-02T03:04:05.000Z",
      items: [{ sku: "a", count: 2 }],
      totalCents: "4200",
      note: null,
    });
    expect(await client.call("orders.get", { orderId: "o1" })).toEqual(order);
    expect(await client.tree({ root: { name: "r", children: [{ name: "c", children: [] }] } })).toEqual({
      leaves: 1,
      kinds: ["a"],
      byName: [["r", 1]],
    });
  });

  test("takes dates and bigints, and leaves out the input where nothing is asked for", async () => {
    const { asked } = await client.orders.list({ since: new Date(0), above: 5n, by: "age" });
    expect(JSON.parse(asked)).toEqual({ limit: 10, since: "1970-01-01T00:00:00.000Z", above: "5n", by: "age" });
    expect(await client.whoAmI()).toEqual({ id: "admin" });
    expect(await client.orders.remove({ orderId: "o1" })).toBeUndefined();
  });

  test("does not compile with a wrong name or input", () => {
    // @ts-expect-error: no such procedure
    () => client.orders.got({});
    // @ts-expect-error: the input is needed
    () => client.orders.get();
    // @ts-expect-error: a number is no id
    () => client.call("orders.get", { orderId: 1 });
  });

  test("is typed by a list or a module as well", () => {
    const listed = createClient<readonly [typeof placeOrder]>({ baseUrl: server.url });
    expectTypeOf(listed.orders.place).parameter(0).toMatchObjectType<{ sku: string }>();
    const ofModule = createClient<{ placeOrder: typeof placeOrder; other: number }>({ baseUrl: server.url });
    expectTypeOf(ofModule.orders.place).parameter(0).toMatchObjectType<{ sku: string }>();
  });

  test("keeps its types beside a procedure and a workflow whose names are worked out at run time", () => {
    const made = (name: string) => procedure({ name, input: z.object({}), output: z.object({}), handler: () => ({}) });
    const place = procedure({
      name: "orders.place",
      input: z.object({ sku: z.string() }),
      output: z.object({}),
      handler: () => ({}),
    });
    const shipping = workflow("shipping")
      .input(z.object({ sku: z.string() }))
      .step(made("pack"));
    const grown = createApp({
      procedures: [place, made("b")],
      workflows: [
        shipping,
        workflow(`shipping-${1 + 1}` as string)
          .input(z.object({}))
          .step(made("c")),
      ],
    });
    const client = createClient<typeof grown>({ baseUrl: server.url });
    expectTypeOf(client.orders.place).parameter(0).toMatchObjectType<{ sku: string }>();
    expectTypeOf(client.workflows.shipping.start).parameter(0).toEqualTypeOf<{ sku: string }>();
  });
});

describe("an error", () => {
  test("that is declared is told by its code, with typed data", async () => {
    const error = await failure(client.orders.place({ orderId: "o1", sku: "a", count: 901 }));
    expect(error).toMatchObject({ code: "out_of_stock", status: 409, data: { left: 900 } });
    if (!client.orders.place.isError(error, "out_of_stock")) throw error;
    expectTypeOf(error.data).toEqualTypeOf<{ left: number }>();
    expect(client.orders.place.isError(error, "closed")).toBe(false);
    // @ts-expect-error: not declared
    client.orders.place.isError(error, "sold_out");
  });

  test("of an input lists all that is wrong", async () => {
    const error = await failure(client.orders.place({ orderId: "NO", sku: 1 as never, count: 0 }));
    expect(isError(error, "invalid_input")).toBe(true);
    expect(error.issues.map(({ path }) => path)).toEqual(["orderId", "sku", "count"]);
  });

  test("of a caller who is not known, or not the right one", async () => {
    const as = (token: string | undefined) =>
      createClient<App>({ baseUrl: server.url, token: () => token }).orders.remove({ orderId: "o1" });
    expect(await failure(as(undefined))).toMatchObject({ code: "unauthenticated", status: 401 });
    expect(await failure(as("user"))).toMatchObject({ code: "forbidden", status: 403 });
    expect(await failure(as("stolen"))).toMatchObject({ code: "unauthenticated", status: 401 });
  });

  test("without an answer is `network`, and an abort stays the caller's own", async () => {
    const nowhere = createClient<App>({ baseUrl: "http://127.0.0.1:1" });
    expect(await failure(nowhere.whoAmI())).toMatchObject({ code: "network", status: 0 });
    const reason = new Error("enough");
    expect(await failure(client.whoAmI({}, { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });
});

describe("a stream", () => {
  test("gives its items, and fails with the server's words", async () => {
    const seen: number[] = [];
    for await (const { left } of client.countDown({ from: 2 })) seen.push(left);
    expect(seen).toEqual([2, 1, 0]);
    const failing = async () => {
      for await (const { left } of client.faltering({ from: 9, failAt: 7 })) seen.push(left);
    };
    expect(await failure(failing())).toMatchObject({ code: "unavailable", message: "out of numbers" });
    expect(seen).toEqual([2, 1, 0, 9, 8]);
  });

  test("that fails before its first item has the status of the error", async () => {
    const failing = (async () => {
      for await (const _ of client.faltering({ from: 3, failAt: 3 }));
    })();
    expect(await failure(failing)).toMatchObject({ code: "unavailable", status: 503 });
  });

  test("ends when the caller leaves the loop", async () => {
    for await (const { left } of client.countDown({ from: 20, everyMs: 20 })) if (left === 19) break;
    expect(await failure(client.countDown({ from: 1 }) as never)).toBeInstanceOf(TypeError);
  });
});

test("a file is a blob also when it is empty, or JSON itself", async () => {
  const read = procedure({
    name: "read",
    input: z.object({ text: z.string() }),
    output: z.file(),
    handler: ({ text }) => new File([text], "a.json", { type: "application/json" }),
  });
  const app = createApp({ procedures: [read] });
  const own = createClient<typeof app>({ fetch: async (url, init) => app.request(String(url), init) });
  const [empty, full] = [await own.read({ text: "" }), await own.read({ text: '{"a":1}' })];
  expect(empty).toBeInstanceOf(Blob);
  expect([empty.size, await full.text()]).toEqual([0, '{"a":1}']);
});

test("files go up with what describes them, and come down as blobs", async () => {
  const photo = new File(["12345"], "münchen.png", { type: "image/png" });
  expect(await client.upload({ photo, title: "a", rating: 5 })).toEqual({
    bytes: 5,
    name: "münchen.png",
    title: "a",
    rating: 5,
  });
  const file = await client.download({ name: "a.txt" });
  expectTypeOf(file).toEqualTypeOf<Blob>();
  expect(await file.text()).toBe("hello");
});

describe("a run", () => {
  test("is executed, or started and waited for", async () => {
    const orders = client.workflows["order-processing"];
    const output = await orders.execute({ orderId: "o12" });
    expectTypeOf(output.at).toEqualTypeOf<string>();
    expect(output).toEqual({ orderId: "o12", length: 3, at: "1970-01-01T00:00:00.000Z" });
    const run = await orders.start({ orderId: "o1" }, { runId: "client-1" });
    expect(await run.wait()).toMatchObject({ length: 2 });
    expect(await run.status()).toMatchObject({ runId: "client-1", state: "done" });
    expect((await orders.list({ state: "done" })).map(({ runId }) => runId)).toContain("client-1");
    const again = await run.rerun();
    expect(await again.wait()).toMatchObject({ length: 2 });
  });

  test("that fails rejects with the cause's code, and can be retried", async () => {
    const run = await client.workflows["order-processing"].start({ orderId: "bad" });
    expect(await failure(run.wait())).toMatchObject({ code: "step_failed", runId: run.runId });
    await run.retry();
    expect(await failure(run.wait())).toMatchObject({ code: "step_failed" });
  });

  test("waits for an answer, which only who is known may give", async () => {
    const run = await client.workflows["reviewed-order"].start({ orderId: "o1" });
    const states: string[] = [];
    const followed = (async () => {
      for await (const event of run.events()) {
        states.push(event.type);
        if (event.type !== "run.waiting") continue;
        const stranger = createClient<App>({ baseUrl: server.url }).workflows["reviewed-order"].run(run.runId);
        expect(await failure(stranger.approve("manager", { approved: true }))).toMatchObject({ status: 401 });
        await run.approve("manager", { approved: true, comment: "fine" });
      }
    })();
    expect(await run.wait()).toMatchObject({ manager: { approved: true, by: "admin", comment: "fine" } });
    await followed;
    expect(states.at(-1)).toBe("run.done");
  });

  test("can be canceled", async () => {
    const run = await client.workflows["reviewed-order"].start({ orderId: "o1" });
    expect(await run.cancel({ reason: "no longer" })).toMatchObject({ canceled: true });
    expect(await failure(run.wait())).toMatchObject({ code: "canceled" });
  });
});
