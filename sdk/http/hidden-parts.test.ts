// What contracts hide of requests, of a real app process: neither recordings nor spans hold it, wherever it stands.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AppFolder, appFolder, type RunningApp, startApp } from "../tracing/app.fixture.ts";
import { type CollectorFixture, startCollector } from "../tracing/collector.fixture.ts";
import type { RequestRecording } from "../tracing/recording.ts";

const module = (path: string) => JSON.stringify(new URL(`../${path}`, import.meta.url).href);
const program = `
  import { z } from "zod";
  import { event, openEngine, procedure, webhook, none, workflow } from ${module("index.ts")};
  import { createApp, serve } from ${module("http/index.ts")};

  const secret = z.string().meta({ sensitive: true });
  const input = z.object({ card: secret, note: z.string(), codes: z.map(z.string(), secret).optional(), of: z.object({ pin: secret }).optional() });
  const pay = procedure({
    name: "pay",
    input,
    output: z.object({}),
    http: { method: "POST", path: "/pay" },
    handler: () => ({}),
  });
  const look = procedure({
    name: "look",
    input: z.object({ card: secret, code: secret.optional(), match: secret.optional(), page: z.string() }),
    output: z.object({}),
    http: { method: "GET", path: "/cards/:card/pages/:page", headers: { match: "if-match" } },
    handler: () => ({}),
  });
  const upload = procedure({
    name: "upload",
    input: z.object({ photo: z.file(), card: secret }),
    output: z.object({}),
    handler: () => ({}),
  });
  const paying = workflow("paying").input(input).step(pay, { as: "paid" });
  const told = event({ name: "told", payload: input });
  const hook = webhook({ name: "hook", verify: none(), payload: input, workflow: paying, input: () => undefined });
  const engine = await openEngine();
  const app = createApp({
    procedures: [pay, look, upload],
    workflows: [paying],
    events: [told],
    triggers: [hook],
    engine,
    control: "open",
    publishOverHttp: true,
  });
  const server = await serve(app, { port: Number(process.env.PORT), engine });
  console.log("listening on " + new URL(server.url).port);
`;

let collector: CollectorFixture;
let folder: AppFolder;
let app: RunningApp;

beforeAll(async () => {
  collector = await startCollector();
  folder = appFolder();
  app = await startApp({
    file: folder.write("hidden.ts", program),
    cwd: folder.path,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
  });
});

afterAll(async () => {
  await app?.stop();
  await collector?.leave();
  folder?.remove();
});

const requestOf = (route: string, isIt: (one: RequestRecording) => boolean = () => true): Promise<RequestRecording> =>
  collector.until(`the recording of ${route}`, ({ recordings }) =>
    recordings.find((one): one is RequestRecording => one.kind === "request" && one.route === route && isIt(one)),
  );
const post = (path: string, value: unknown) =>
  app.get(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(value) });
const value = { card: "visa-in-words", note: "plain", codes: [["a", "code-in-words"]], of: { pin: "pin-in-words" } };
const clean = { card: "[redacted]", note: "plain", codes: [["a", "[redacted]"]], of: { pin: "[redacted]" } };

test.each([
  ["a procedure's own route", "/pay", "/pay"],
  ["/rpc", "/rpc/pay", "/rpc/:procedure"],
  ["the start of a run", "/workflows/paying/runs", "/workflows/:name/runs"],
  ["an event", "/events/told", "/events/:name"],
  ["a webhook", "/webhooks/hook", "/webhooks/hook"],
])("the body of %s is recorded without what its contract hides", async (_what, path, route) => {
  await post(path, value);
  const { body } = await requestOf(route);
  expect(JSON.parse(body.text)).toEqual(clean);
  expect(body.truncated).toBe(false);
});

test("what the contract refuses is hidden all the same", async () => {
  await post("/pay", { card: "visa-in-words", note: 5, of: "pin-in-words" });
  const { body } = await requestOf("/pay", ({ status }) => status === 400);
  expect(JSON.parse(body.text)).toEqual({ card: "[redacted]", note: 5, of: "[redacted]" });
});

test("path, query and headers are recorded without it, and the request's span has none of it", async () => {
  await app.get("/cards/visa%20in%20words/pages/3?code=code-in-words&more=1", { headers: { "if-match": "in-words" } });
  const { path, headers, traceId } = await requestOf("/cards/:card/pages/:page");
  expect(path).toBe("/cards/[redacted]/pages/3?code=%5Bredacted%5D&more=1");
  expect(headers).not.toHaveProperty("if-match");
  const span = await collector.until("the span of the request", ({ spans }) =>
    spans.find((one) => one.traceId === traceId && one.attributes["http.route"] !== undefined),
  );
  expect(span.attributes).toMatchObject({
    "url.path": "/cards/[redacted]/pages/3",
    "url.query": "code=%5Bredacted%5D&more=1",
  });
});

test("a body in which the contract's parts cannot be found is left out", async () => {
  const form = new FormData();
  form.set("card", "visa-in-words");
  form.set("photo", new Blob(["x"]), "x.txt");
  await app.get("/rpc/upload", { method: "POST", body: form });
  const { body } = await requestOf("/rpc/:procedure", ({ path }) => path === "/rpc/upload");
  expect(body).toEqual({ text: "", base64: false, truncated: true });
  expect(JSON.stringify(collector.recordings)).not.toContain("in-words");
});
