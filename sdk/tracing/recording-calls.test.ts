// Recordings of calls, of a real app process: what a replay needs, no secret, nothing that the app notices.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AppFolder, appFolder, type RunningApp, startApp } from "./app.fixture.ts";
import { type CollectorFixture, startCollector } from "./collector.fixture.ts";
import type { CallRecording } from "./recording.ts";

const module = (path: string) => JSON.stringify(new URL(`../procedures/${path}`, import.meta.url).href);
const program = `
  import http from "node:http";
  import { z } from "zod";
  import { call } from ${module("call.ts")};
  import { procedure } from ${module("procedure.ts")};

  const pay = procedure({
    name: "pay",
    input: z.object({ card: z.string().meta({ sensitive: true }), note: z.string(), amount: z.number() }),
    output: z.object({ receipt: z.string() }),
    errors: { declined: { status: 402, data: z.object({ left: z.number(), pin: z.string().meta({ sensitive: true }) }) } },
    handler: async (input, ctx) => {
      if (input.amount > 100) ctx.fail("declined", { left: 7, pin: "0000" }, "card 4242 4242 4242 4242 has too little");
      input.note = "changed by the handler";
      return { receipt: "for ada@example.com" };
    },
  });
  const big = procedure({
    name: "big",
    input: z.object({ size: z.number() }),
    output: z.object({ text: z.string() }),
    handler: ({ size }) => ({ text: "x".repeat(size) }),
  });
  const login = procedure({ name: "login", input: z.object({ user: z.string() }), output: z.object({}), handler: () => ({}) });
  const input = (amount) => ({ card: "visa", note: "from Bearer abcdefgh12345678", amount });
  const routes = {
    "/pay": () => call(pay, input(5)),
    "/decline": () => call(pay, input(500)).catch((error) => error.code),
    "/big": () => call(big, { size: 70_000 }),
    "/private/login": () => call(login, { user: "ada" }),
    "/many": async () => { for (let n = 0; n < 200; n++) await call(pay, input(n % 50)); },
    "/broken": async () => {
      globalThis[Symbol.for("tsdev.recorder")].call = () => { throw new Error("the recorder is broken"); };
      return call(pay, input(5));
    },
  };
  const server = http.createServer(async (request, response) => {
    try { response.end(JSON.stringify((await routes[request.url]()) ?? null)); }
    catch (error) { response.writeHead(500).end(String(error)); }
  }).listen(process.env.PORT, () => console.log("listening on " + server.address().port));
`;

let collector: CollectorFixture;
let folder: AppFolder;
let app: RunningApp;

const start = (env: Record<string, string> = {}) =>
  startApp({
    file: folder.write("calls.ts", program),
    cwd: folder.path,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, TSDEV_RECORD_EXCLUDE: "/private*", ...env },
  });

beforeAll(async () => {
  collector = await startCollector();
  folder = appFolder();
  app = await start();
});

afterAll(async () => {
  await app?.stop();
  await collector?.leave();
  folder?.remove();
});

const callOf = (what: string, fits: (one: CallRecording) => boolean): Promise<CallRecording> =>
  collector.until(what, ({ recordings }) =>
    recordings.find((one): one is CallRecording => one.kind === "call" && fits(one)),
  );

test("a call has its input as it came, its output and its span, redacted by contract and by value", async () => {
  await app.get("/pay");
  const call = await callOf("the call", (one) => one.error === null && one.procedure === "pay");
  expect(call.input).toEqual({ card: "[redacted]", note: "from Bearer [redacted]", amount: 5 });
  expect(call.output).toMatchObject({ receipt: expect.stringMatching(/^for user-[0-9a-f]{10}@example\.com$/) });
  const span = await collector.until("its span", ({ spans }) => spans.find((one) => one.spanId === call.spanId));
  expect(span).toMatchObject({ name: "procedure pay", traceId: call.traceId });
  const request = await collector.until("the request", ({ recordings }) =>
    recordings.find((one) => one.kind === "request" && one.spanId === call.requestSpanId),
  );
  expect(request.traceId).toBe(call.traceId);
});

test("a declared error has its code and its data without what is sensitive", async () => {
  await app.get("/decline");
  const call = await callOf("the failed call", (one) => one.error !== null);
  expect(call.output).toBeNull();
  expect(call.error).toEqual({
    type: "declined",
    message: "card [redacted] has too little",
    data: { left: 7, pin: "[redacted]" },
  });
});

test("what is too long, and what is done for an excluded request, is not recorded", async () => {
  await app.get("/big");
  await app.get("/private/login");
  await collector.until("their spans", ({ spans }) =>
    ["procedure big", "procedure login"].every((name) => spans.some((span) => span.name === name)),
  );
  const before = collector.recordings.length;
  await app.get("/pay");
  await collector.until("a later recording", ({ recordings }) => recordings.length > before);
  const names = collector.recordings.flatMap((one) => (one.kind === "call" ? [one.procedure] : []));
  expect(names).not.toContain("big");
  expect(names).not.toContain("login");
});

test("of many calls a sample is recorded", async () => {
  const before = collector.recordings.length;
  await app.get("/many");
  await collector.until("the request", ({ recordings }) =>
    recordings.slice(before).find((one) => one.kind === "request" && one.path === "/many"),
  );
  const calls = collector.recordings.slice(before).filter((one) => one.kind === "call").length;
  expect(calls).toBeGreaterThan(40);
  expect(calls).toBeLessThan(100);
});

test("a recorder that throws fails no call, and TSDEV_RECORD=off records none", async () => {
  const other = await start();
  const quiet = await start({ TSDEV_RECORD: "off", OTEL_SERVICE_NAME: "quiet" });
  try {
    expect((await other.get("/broken")).status).toBe(200);
    const spansOfQuiet = () =>
      collector.until("its spans", ({ spans }) =>
        spans.filter((span) => span.resource["service.name"] === "quiet" && span.name === "procedure pay").at(0),
      );
    await quiet.get("/pay");
    const { traceId } = await spansOfQuiet();
    await app.get("/pay");
    expect(collector.recordings.some((one) => one.traceId === traceId)).toBe(false);
  } finally {
    await Promise.all([other.stop(), quiet.stop()]);
  }
});
