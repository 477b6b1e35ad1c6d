// Routes, forms, streams, methods and control as a client without our types sees them, over a real server.
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { openEngine } from "../engine/open-engine.ts";
import { procedure } from "../procedures/procedure.ts";
import { stream } from "../procedures/stream.ts";
import { none } from "../triggers/none.ts";
import { webhook } from "../triggers/webhook.ts";
import { workflow } from "../workflows/workflow.ts";
import { createApp } from "./create-app.ts";
import { richApp } from "./rich-app.fixture.ts";
import { type Server, serve } from "./serve.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const ok = { input: z.object({}), output: z.object({}), handler: () => ({}) };

const left: unknown[] = [];
const endless = procedure({
  name: "endless",
  input: z.object({}),
  output: stream(z.object({ count: z.int() })),
  handler: async function* (_input, ctx) {
    ctx.signal.addEventListener("abort", () => left.push("aborted"));
    for (let count = 0; ; count++) {
      yield { count };
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  },
});

let rich: Server;
let plain: Server;
beforeAll(async () => {
  const engine = await openEngine({ log: silent });
  rich = await serve(richApp(engine), { port: 0, drainMs: 0, engine });
  plain = await serve(createApp({ procedures: [endless] }), { port: 0, drainMs: 0 });
});
afterAll(async () => {
  await rich.stop();
  await plain.stop();
});

async function send(method: string, path: string, init: RequestInit = {}) {
  const response = await fetch(rich.url + path, { method, ...init });
  const text = await response.text();
  const isJson = text !== "" && /\/(problem\+)?json/.test(response.headers.get("content-type") ?? "");
  return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
}
const json = (body: unknown, headers: Record<string, string> = {}) => ({
  body: JSON.stringify(body),
  headers: { "content-type": "application/json", ...headers },
});

describe("an input", () => {
  test("comes from path, query and headers, each text made what the contract wants", async () => {
    const query = "limit=5&open=false&since=2026-01-02&state=paid&state=sent&above=12345678901234567890&by=7";
    const { status, body } = await send("GET", `/orders?${query}&match=${encodeURIComponent('{"sku":"a"}')}`, {
      headers: { "x-trace": "7" },
    });
    expect(status).toBe(200);
    expect(JSON.parse(body.asked)).toEqual({
      limit: 5,
      open: false,
      since: "2026-01-02T00:00:00.000Z",
      state: ["paid", "sent"],
      above: "12345678901234567890n",
      match: { sku: "a" },
      by: 7,
      trace: "7",
    });
    expect(JSON.parse((await send("GET", "/orders?state=paid&by=age")).body.asked)).toMatchObject({
      state: ["paid"],
      by: "age",
    });
  });

  test.each([
    ["limit=5x", "limit"],
    ["limit=", "limit"],
    ["limit=1e1000", "limit"],
    ["limit=1&limit=2", "limit"],
    ["open=yes", "open"],
    ["since=2026-02-31", "since"],
    ["since=yesterday", "since"],
    ["state=paid&state=lost", "state.1"],
    ["above=1.5", "above"],
    ["match=%7B", "match"],
    ["by=1.5", "by"],
  ])("that does not fit is refused and not guessed: ?%s", async (query, path) => {
    expect(await send("GET", `/orders?${query}`)).toMatchObject({
      status: 400,
      body: { code: "invalid_input", path, errors: [{ path }] },
    });
  });

  test("keeps the path's keys from the body", async () => {
    const { status, body } = await send("PUT", "/orders/o1", json({ orderId: "o2", sku: "a", count: 1 }));
    expect([status, body.orderId]).toEqual([201, "o1"]);
    expect(await send("PUT", "/orders/o1", json([1]))).toMatchObject({ status: 400, body: { code: "invalid_input" } });
  });

  test("with a file is a form whose fields are made what the contract wants", async () => {
    const form = new FormData();
    form.set("photo", new File(["123"], "a.png"));
    form.set("title", "5");
    form.set("rating", "5");
    const sent = await send("POST", "/rpc/upload", { body: form });
    expect(sent.body).toEqual({ bytes: 3, name: "a.png", title: "5", rating: 5 });
    form.set("photo", "no file");
    expect(await send("POST", "/rpc/upload", { body: form })).toMatchObject({ status: 400, body: { path: "photo" } });
    const odd = { body: "x", headers: { "content-type": "multipart/form-data; boundary=y" } };
    expect(await send("POST", "/rpc/upload", odd)).toMatchObject({ status: 400, body: { code: "invalid_input" } });
    form.set("photo", new File(["x".repeat(2 * 1024 * 1024)], "large"));
    expect(await send("POST", "/rpc/upload", { body: form })).toMatchObject({ status: 413 });
  });

  test("does not place a file where its JSON left none, such as in a prototype", async () => {
    const form = new FormData();
    form.set("$json", '{"title":"t","photo":null}');
    form.set("photo", new File(["1"], "a"));
    form.set("__proto__.polluted", new File(["1"], "b"));
    expect((await send("POST", "/rpc/upload", { body: form })).status).toBe(200);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  test("of another type is 415, and says what is read", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect(await send("POST", "/rpc/whoAmI", { body: "a=1", headers })).toMatchObject({
      status: 415,
      body: { code: "unsupported_media_type", fix: "send Content-Type: application/json" },
    });
  });
});

describe("an answer", () => {
  test("that is a file has its type and name", async () => {
    const { status, text, headers } = await send("GET", "/files?name=%C3%A4%22.txt");
    expect([status, text, headers.get("content-type")]).toEqual([200, "hello", "text/plain"]);
    expect(headers.get("content-disposition")).toBe(`attachment; filename="__.txt"; filename*=UTF-8''%C3%A4%22.txt`);
  });

  test("with nothing in it is 204; HEAD has the headers of GET alone", async () => {
    const as = { headers: { authorization: "Bearer admin" } };
    expect(await send("DELETE", "/orders/o1", as)).toMatchObject({ status: 204, text: "" });
    expect(await send("HEAD", "/orders/o1")).toMatchObject({ status: 200, text: "" });
  });

  test("that is a stream is one JSON a line, or events where they are accepted", async () => {
    const lines = await send("POST", "/rpc/countDown", json({ from: 1 }));
    expect(lines.headers.get("content-type")).toBe("application/x-ndjson");
    expect(lines.text).toBe('{"left":1}\n{"left":0}\n');
    const events = await send("POST", "/rpc/countDown", json({ from: 0 }, { accept: "text/event-stream" }));
    expect(events.text).toBe('id: 1\ndata: {"left":0}\n\nevent: end\ndata: \n\n');
  });

  test("that is cut off by a failure is not taken for a whole one", async () => {
    await expect(send("POST", "/rpc/faltering", json({ from: 3, failAt: 1 }))).rejects.toThrow();
  });

  test("that is a stream tells the handler when the client leaves", async () => {
    const abort = new AbortController();
    const response = await fetch(`${plain.url}/rpc/endless`, { method: "POST", signal: abort.signal });
    await response.body!.getReader().read();
    abort.abort();
    await expect.poll(() => left).toEqual(["aborted"]);
  });

  test.each(["text/event-stream", "application/x-ndjson"])(
    "that the client leaves is no failure: %s",
    async (accept) => {
      const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
      let ended = false;
      const waiting = procedure({
        name: "waiting",
        input: z.object({}),
        output: stream(z.object({})),
        handler: async function* (_input, { signal }) {
          try {
            yield {};
            await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("left"))));
          } finally {
            ended = true;
          }
        },
      });
      const server = await serve(createApp({ procedures: [waiting] }), { port: 0, drainMs: 0 });
      const abort = new AbortController();
      const init = { method: "POST", headers: { accept }, signal: abort.signal };
      const reader = (await fetch(`${server.url}/rpc/waiting`, init)).body!.getReader();
      await reader.read();
      reader.read().catch(() => {});
      abort.abort();
      await expect.poll(() => ended).toBe(true);
      await server.stop();
      const said = written.mock.calls.map(([text]) => String(text));
      written.mockRestore();
      expect(said.filter((text) => text.includes("a stream failed"))).toEqual([]);
    },
  );
});

describe("a method", () => {
  test("that a path does not take is 405 with those that it does", async () => {
    const wrong = await send("PATCH", "/orders/o1");
    expect(wrong).toMatchObject({ status: 405, body: { code: "method_not_allowed" } });
    expect(wrong.headers.get("allow")).toBe("GET, HEAD, PUT, DELETE, OPTIONS");
    const asked = await send("OPTIONS", "/orders/o1");
    expect([asked.status, asked.headers.get("allow")]).toEqual([204, "GET, HEAD, PUT, DELETE, OPTIONS"]);
    expect((await send("GET", "/nothing")).status).toBe(404);
  });
});

describe("at start", () => {
  test("two procedures with one route are refused by name", () => {
    const a = procedure({
      name: "a",
      ...ok,
      input: z.object({ x: z.string() }),
      http: { method: "GET", path: "/x/:x" },
    });
    const b = procedure({
      name: "b",
      ...ok,
      input: z.object({ y: z.string() }),
      http: { method: "GET", path: "/x/:y" },
    });
    expect(() => createApp({ procedures: [a, b] })).toThrow(
      /procedures "a" .* and "b" .* have the same route GET \/x\/:y/,
    );
    const own = procedure({ name: "own", ...ok, http: { method: "GET", path: "/workflows" } });
    expect(() => createApp({ procedures: [own] })).toThrow(/"own".*\/workflows, which createApp uses itself/);
  });

  test.each(["/orders", "/rpc/a", "/workflows/w/runs", "/healthz"] as const)("a webhook at %s is refused", (path) => {
    const orders = procedure({ name: "orders", ...ok, http: { method: "POST", path: "/orders" } });
    const started = workflow("started").input(z.object({})).step(orders);
    const trigger = webhook({
      name: "hook",
      path,
      verify: none(),
      payload: z.any(),
      workflow: started,
      input: () => ({}),
    });
    const create = () => createApp({ procedures: [orders], triggers: [trigger] });
    expect(create).toThrow(expect.objectContaining({ code: "duplicate_name", message: expect.stringContaining(path) }));
  });

  test("a route that names what the contract has not is refused", () => {
    const a = procedure({ name: "a", ...ok, http: { method: "GET", path: "/x/:id" } });
    expect(() => createApp({ procedures: [a] })).toThrow(/the path of its route names "id"/);
  });

  test("a plain path stands before a parameter, whatever the order", async () => {
    const one = procedure({
      name: "one",
      input: z.object({ id: z.string() }),
      output: z.object({ id: z.string() }),
      http: { method: "GET", path: "/x/:id" },
      handler: ({ id }) => ({ id }),
    });
    const mine = procedure({
      name: "mine",
      input: z.object({}),
      output: z.object({ mine: z.boolean() }),
      http: { method: "GET", path: "/x/mine" },
      handler: () => ({ mine: true }),
    });
    const app = createApp({ procedures: [one, mine] });
    expect(await (await app.request("/x/mine")).json()).toEqual({ mine: true });
    expect(await (await app.request("/x/other")).json()).toEqual({ id: "other" });
  });
});

describe("control", () => {
  const base = "/workflows/reviewed-order/runs";
  const as = (token: string) => ({ authorization: `Bearer ${token}` });

  test("needs somebody who is known, and tells a stranger of no run", async () => {
    for (const verb of ["cancel", "pause", "resume", "retry", "rerun", "approvals/manager"]) {
      expect(await send("POST", `${base}/none/${verb}`, json({}))).toMatchObject({ status: 401 });
    }
    expect(await send("POST", "/events/order.paid", json({ orderId: "o", amount: 1 }))).toMatchObject({ status: 401 });
    expect(await send("POST", `${base}/none/cancel`, json({}, as("user")))).toMatchObject({ status: 404 });
    const published = await send("POST", "/events/order.paid?id=e1", json({ orderId: "o", amount: 1 }, as("admin")));
    expect(published).toMatchObject({ status: 202, body: { id: "e1" } });
  });

  test("is as the app decides", async () => {
    const engine = await openEngine({ log: silent });
    const cancel = async (control: "open" | { roles: string[] }) => {
      const app = createApp({ engine, control, authenticate: () => ({ id: "u", roles: ["user"] }) });
      return (await app.request("/workflows/none/runs/none/cancel", { method: "POST" })).status;
    };
    expect(await cancel("open")).toBe(404);
    expect(await cancel({ roles: ["admin"] })).toBe(403);
    await engine.close();
  });
});

test("a webhook of the app is handled at its path", async () => {
  expect(await send("POST", "/webhooks/bank", json({ orderId: "hook" }))).toMatchObject({ status: 202 });
  expect(await send("POST", "/webhooks/bank", json({ orderId: "hook" }))).toMatchObject({ status: 200 });
});

describe("events of a run", () => {
  test("go on after Last-Event-ID, and a client that has them all is told to stop", async () => {
    const path = "/workflows/order-processing/runs";
    await send("POST", `${path}?runId=sse`, json({ orderId: "o1" }));
    const all = (await send("GET", `${path}/sse/events`)).text;
    const ids = [...all.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
    expect(ids).toEqual(ids.map((_, index) => index + 1));
    const rest = await send("GET", `${path}/sse/events`, { headers: { "last-event-id": "1" } });
    expect([...rest.text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]))).toEqual(ids.slice(1));
    const none = await send("GET", `${path}/sse/events`, { headers: { "last-event-id": String(ids.at(-1)) } });
    expect(none.status).toBe(204);
    expect((await send("GET", `${path}/sse/events?after=x`)).status).toBe(400);
    expect((await send("GET", `${path}/none/events`)).status).toBe(404);
  });
});

test("a chunked body is held to the limit as well", async () => {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const outgoing = request(`${rich.url}/rpc/whoAmI`, { method: "POST" }, (incoming) => {
      incoming.resume();
      resolve(incoming.statusCode);
    });
    outgoing.on("error", (error: NodeJS.ErrnoException) => (error.code === "EPIPE" ? undefined : reject(error)));
    outgoing.setHeader("content-type", "application/json");
    for (let chunk = 0; chunk < 20; chunk++) outgoing.write(" ".repeat(64 * 1024));
    outgoing.end("{}");
  });
  expect(status).toBe(413);
});
