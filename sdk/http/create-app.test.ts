// The app over HTTP: procedures, workflows, health and errors, as a client sees them.

import { trace } from "@opentelemetry/api";
import { Hono } from "hono";
import { cors } from "hono/cors";
import { afterAll, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { openEngine } from "../engine/open-engine.ts";
import { collectSpans } from "../engine/spans.fixture.ts";
import { TsdevError } from "../errors.ts";
import { procedure } from "../procedures/procedure.ts";
import { workflow } from "../workflows/workflow.ts";
import { createApp } from "./create-app.ts";

const spans = collectSpans();
beforeEach(() => spans.reset());
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const engine = await openEngine({ log: silent });
afterAll(() => engine.close());

const keys: string[] = [];
const double = procedure({
  name: "double",
  input: z.object({ value: z.number() }),
  output: z.object({ doubled: z.number() }),
  handler: ({ value }, ctx) => {
    keys.push(ctx.idempotencyKey);
    if (value === 404) throw new TsdevError("not_found", { message: "no such value", fix: "take another" });
    if (value === 500) throw new Error("password=hunter2");
    return { doubled: value * 2 };
  },
});
const quiet = procedure({ name: "quiet", input: z.object({}), output: z.void(), handler: () => {} });
const doubling = workflow("doubling")
  .input(z.object({ value: z.number() }))
  .step(double);

const app = createApp({ procedures: [double, quiet], workflows: [doubling], engine, maxBodyBytes: 1_000 });
app.get("/own/:id", (c) => c.json({ id: c.req.param("id") }));
app.route(
  "/nested",
  new Hono().get("/deep/:id", (c) => c.text("ok")),
);

async function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await app.request(path, {
    method,
    headers: { "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body: text }),
  });
  const answer = await response.text();
  return { status: response.status, headers: response.headers, body: answer === "" ? undefined : JSON.parse(answer) };
}

describe("/rpc", () => {
  test("answers with the procedure's output", async () => {
    expect(await send("POST", "/rpc/double", { value: 2 })).toMatchObject({ status: 200, body: { doubled: 4 } });
    expect(await send("POST", "/rpc/quiet")).toMatchObject({ status: 204, body: undefined });
  });

  test("hands on the client's Idempotency-Key", async () => {
    await send("POST", "/rpc/double", { value: 1 }, { "idempotency-key": "k1" });
    expect(keys.at(-1)).toBe("k1");
  });

  test.each([
    ["an input that does not fit", "/rpc/double", { value: "x" }, 400, { code: "invalid_input", path: "value" }],
    ["a body that is not JSON", "/rpc/double", "{", 400, { code: "invalid_input" }],
    ["a name that is not known", "/rpc/triple", {}, 404, { code: "not_found", fix: "known: double, quiet" }],
    ["an error with a code", "/rpc/double", { value: 404 }, 404, { code: "not_found", message: "no such value" }],
    ["a body that is too large", "/rpc/double", "x".repeat(2_000), 413, { code: "payload_too_large" }],
    ["a path that is not there", "/rpcs", {}, 404, { code: "not_found" }],
  ])("%s is a problem with code and fix", async (_what, path, body, status, shape) => {
    const answer = await send("POST", path, body);
    expect(answer).toMatchObject({ status, body: { ...shape, status, fix: expect.any(String) } });
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body).toMatchObject({ type: expect.stringContaining(answer.body.code), detail: answer.body.message });
  });

  test("an unexpected error keeps its message to the log", async () => {
    const { status, body } = await send("POST", "/rpc/double", { value: 500 });
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain("hunter2");
    expect(body.code).toBe("internal");
  });
});

describe("/workflows", () => {
  test("executes a run and gives its end; the same runId is the same run", async () => {
    const first = await send("POST", "/workflows/doubling/runs?runId=r1", { value: 3 });
    expect(first).toMatchObject({
      status: 200,
      body: { runId: "r1", state: "done", output: { value: 3, doubled: 6 } },
    });
    expect(first.headers.get("location")).toBe("/workflows/doubling/runs/r1");
    const calls = keys.length;
    expect((await send("POST", "/workflows/doubling/runs", { value: 3 }, { "idempotency-key": "r1" })).status).toBe(
      200,
    );
    expect(keys).toHaveLength(calls);
    expect(await send("GET", "/workflows/doubling/runs/r1")).toMatchObject({
      status: 200,
      body: { state: "done", finishedSteps: ["double"] },
    });
  });

  test("starts a run without waiting", async () => {
    const { status, body } = await send("POST", "/workflows/doubling/runs?wait=false", { value: 1 });
    expect(status).toBe(202);
    expect(await engine.execute(doubling, { value: 1 }, { runId: body.runId })).toEqual({ value: 1, doubled: 2 });
  });

  test("a failed run is a problem that names the run, the step and the cause", async () => {
    const { status, body } = await send("POST", "/workflows/doubling/runs?runId=bad", { value: 404 });
    expect(status).toBe(500);
    expect(body).toMatchObject({
      code: "step_failed",
      runId: "bad",
      message: expect.stringContaining("no such value"),
    });
  });

  test.each(["cron:nightly:2026-11-25T01:30:00.000Z", "webhook:on-push:d1", "queue:pages:1", "event:paid:1"])(
    "nobody begins the run that a trigger will: %s",
    async (runId) => {
      const path = `/workflows/doubling/runs?wait=false&runId=${encodeURIComponent(runId)}`;
      const refused = { status: 400, body: { code: "invalid_input" } };
      expect(await send("POST", path, { value: 1 })).toMatchObject(refused);
      const headers = { "idempotency-key": runId };
      expect(await send("POST", "/workflows/doubling/runs", { value: 1 }, headers)).toMatchObject(refused);
      expect(await engine.run(runId)).toBeUndefined();
    },
  );

  test("a name that no database can hold is a mistake of who sends it", async () => {
    const nul = () => Promise.reject(new Error("invalid byte sequence"));
    const strict = createApp({ workflows: [doubling], engine: { ...engine, run: nul, runs: nul }, control: "open" });
    expect((await strict.request("/workflows/doubling/runs/%00")).status).toBe(404);
    expect((await strict.request("/workflows/doubling/runs?before=%00")).status).toBe(400);
    await send("POST", "/workflows/doubling/runs?runId=r2", { value: 3 });
    const open = createApp({ workflows: [doubling], engine, control: "open" });
    const type = { "content-type": "application/json" };
    for (const comment of ["\0", "\ud800"]) {
      const answer = { method: "POST", headers: type, body: JSON.stringify({ approved: true, comment }) };
      expect((await open.request("/workflows/doubling/runs/r2/approvals/boss", answer)).status).toBe(400);
    }
    const init = { method: "POST", headers: type, body: JSON.stringify({ runId: "r\0" }) };
    expect((await open.request("/workflows/doubling/runs/r2/rerun", init)).status).toBe(400);
  });

  test("what a step threw is told without the secrets in it: in the problem, the status, the list and the events", async () => {
    const connect = procedure({
      name: "connect",
      input: z.object({}),
      output: z.object({}),
      handler: () => {
        throw new Error("no answer from postgres://app:hunter2@db/shop");
      },
    });
    const own = createApp({ workflows: [workflow("connecting").input(z.object({})).step(connect)], engine });
    const base = "/workflows/connecting/runs";
    const answers = [
      await own.request(`${base}?runId=c1`, { method: "POST" }),
      await own.request(`${base}/c1`),
      await own.request(base),
      await own.request(`${base}/c1/events`),
    ];
    for (const text of await Promise.all(answers.map((answer) => answer.text()))) {
      expect(text).toContain("no answer from postgres://[redacted]@db/shop");
      expect(text).not.toContain("hunter2");
    }
  });

  test("what is not there is not found", async () => {
    expect(await send("GET", "/workflows/doubling/runs/none")).toMatchObject({ status: 404 });
    expect(await send("POST", "/workflows/tripling/runs", {})).toMatchObject({ status: 404 });
  });
});

test("health and readiness answer", async () => {
  expect(await send("GET", "/healthz")).toMatchObject({ status: 200 });
  expect(await send("GET", "/readyz")).toMatchObject({ status: 200, body: { ready: true } });
});

test("middleware stands before every route, also before those of the app itself", async () => {
  const seen: string[] = [];
  const open = createApp({
    procedures: [quiet],
    workflows: [doubling],
    engine,
    middleware: [
      cors(),
      async (c, next) => {
        seen.push(c.req.path);
        await next();
      },
    ],
  });
  const headers = { origin: "https://shop.example" };
  for (const [method, path] of [
    ["POST", "/rpc/quiet"],
    ["GET", "/workflows/doubling/runs"],
    ["GET", "/openapi.json"],
    ["GET", "/none"],
  ] as const) {
    const response = await open.request(path, { method, headers });
    expect(response.headers.get("access-control-allow-origin"), path).toBe("*");
  }
  expect(seen).toEqual(["/rpc/quiet", "/workflows/doubling/runs", "/openapi.json", "/none"]);
});

test("readiness fails when the engine's database is away", async () => {
  const away = {
    ...engine,
    check: () => Promise.reject(new TsdevError("unavailable", { message: "away", fix: "wait" })),
  } as unknown as typeof engine;
  const response = await createApp({ engine: away }).request("/readyz");
  expect(response.status).toBe(503);
});

test("two procedures with one name are refused at start", () => {
  expect(() => createApp({ procedures: [double, double] })).toThrow(/two procedures have the name "double"/);
});

describe("the server's span", () => {
  const tracer = trace.getTracer("test");
  async function routeOf(method: string, path: string): Promise<unknown> {
    spans.reset();
    await tracer.startActiveSpan("server", async (span) => {
      await app.request(path, { method });
      span.end();
    });
    return [`${method} /own/:id`, `${method} /nested/deep/:id`, `${method} /workflows/:name/runs/:id`, "server"]
      .flatMap((name) => spans.named(name))
      .map((span) => span.attributes["http.route"])[0];
  }

  test("carries the template of the route that answered, the author's own and nested ones too", async () => {
    expect(await routeOf("GET", "/own/1")).toBe("/own/:id");
    expect(await routeOf("GET", "/nested/deep/1")).toBe("/nested/deep/:id");
    expect(await routeOf("GET", "/workflows/doubling/runs/none")).toBe("/workflows/:name/runs/:id");
    expect(await routeOf("GET", "/none")).toBeUndefined();
  });
});

test("in development the app tells what it declares, elsewhere that route is not there", async () => {
  const ask = () => createApp({ procedures: [double] }).request("/_tsdev/registry");
  expect((await ask()).status).toBe(404);
  vi.stubEnv("NODE_ENV", "development");
  try {
    expect(await (await ask()).json()).toMatchObject({ procedures: [{ name: "double" }] });
  } finally {
    vi.unstubAllEnvs();
  }
});
