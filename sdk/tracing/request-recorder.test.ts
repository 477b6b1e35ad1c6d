// Recordings of a real app process: what is needed to replay a request, and no secret.
import { afterAll, beforeAll, expect, test } from "vitest";
import { type PostgresFixture, startPostgres } from "../engine/postgres.fixture.ts";
import { type AppFolder, appFolder, type RunningApp, startApp } from "./app.fixture.ts";
import { type CollectorFixture, startCollector } from "./collector.fixture.ts";
import {
  bodyDigest,
  canonicalUrl,
  type OutgoingRecording,
  type RequestRecording,
  type RunRecording,
} from "./recording.ts";
import { startUpstream, type UpstreamFixture } from "./upstream.fixture.ts";

let postgres: PostgresFixture;
let collector: CollectorFixture;
let upstream: UpstreamFixture;
let folder: AppFolder;
let app: RunningApp;

beforeAll(async () => {
  [postgres, collector, upstream] = await Promise.all([startPostgres(), startCollector(), startUpstream()]);
  folder = appFolder();
  app = await start({});
});

afterAll(async () => {
  await app?.stop();
  await Promise.all([postgres?.stop(), collector?.leave(), upstream?.stop()]);
  folder?.remove();
});

function start(env: Record<string, string>): Promise<RunningApp> {
  return startApp({
    file: folder.add("queries.ts"),
    cwd: folder.path,
    env: {
      DATABASE_URL: postgres.url,
      UPSTREAM: upstream.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      TSDEV_RECORD_EXCLUDE: "/reset,/private*",
      ...env,
    },
  });
}

const requestTo = (path: string): Promise<RequestRecording> =>
  collector.until(`the recording of ${path}`, ({ recordings }) =>
    recordings.find((one): one is RequestRecording => one.kind === "request" && one.path === path),
  );
const outgoingOf = (request: RequestRecording, count: number): Promise<OutgoingRecording[]> =>
  collector.until(`${count} calls`, ({ recordings }) => {
    const found = recordings.filter(
      (one): one is OutgoingRecording => one.kind === "outgoing" && one.traceId === request.traceId,
    );
    return found.length >= count && found;
  });

test("a request has its route, body and kept headers, and of credentials only that there were some", async () => {
  const body = '{"card":"4242 4242 4242 4242","amount":12,"email":"ada@example.com"}';
  await app.get("/pay/12?key=1", {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      "idempotency-key": "k-1",
      authorization: "Bearer very-secret-token",
      cookie: "session=abc",
      "x-internal": "no",
    },
  });
  const request = await requestTo("/pay/12?key=1");
  expect(request).toMatchObject({ method: "POST", route: "/pay/:id", status: 200 });
  expect(request.headers).toMatchObject({
    "content-type": "application/json",
    "idempotency-key": "k-1",
    authorization: "[redacted]",
    cookie: "[redacted]",
  });
  expect(request.headers).not.toHaveProperty("x-internal");
  expect(JSON.parse(request.body.text)).toMatchObject({ card: "[redacted]", amount: 12 });
  expect(request.body).toMatchObject({ base64: false, truncated: false });
  const span = await collector.until("the span", ({ spans }) => spans.find((one) => one.spanId === request.spanId));
  expect(span).toMatchObject({ kind: 2, traceId: request.traceId });
  const [call] = await outgoingOf(request, 1);
  expect(call).toMatchObject({ method: "POST", status: 201, number: 1, error: null });
  expect(call?.bodyDigest).toBe(bodyDigest("application/json", body));
  expect(JSON.stringify(collector.recordings)).not.toMatch(/very-secret|4242|ada@|session=abc/);
});

test("a call by fetch has its answer decoded, its URL sorted and its span", async () => {
  await app.get("/fetch");
  const [call] = await outgoingOf(await requestTo("/fetch"), 1);
  expect(call).toMatchObject({ method: "GET", status: 200, url: `${upstream.url}/labels/77?a=1&b=2`, number: 1 });
  expect(JSON.parse(call?.body.text ?? "")).toEqual({ path: "/labels/77?b=2&a=1" });
  expect(call?.body.truncated).toBe(false);
  expect(call?.headers["content-type"]).toBe("application/json");
  await collector.until("its span", ({ spans }) => spans.find((span) => span.spanId === call?.spanId));
});

test("the same call twice has the numbers 1 and 2, and the key that a replay computes from the live call", async () => {
  const body = '{"to":"ada@example.com"}';
  await app.get("/mail", { method: "POST", body });
  const calls = await outgoingOf(await requestTo("/mail"), 2);
  expect(calls.map((call) => call.number)).toEqual([1, 2]);
  const live = upstream.requests.find((request) => request.path.startsWith("/mails"));
  expect(live?.body).toBe(body);
  for (const call of calls) {
    expect(call.bodyDigest).toBe(bodyDigest("application/json", live?.body ?? ""));
    expect(call.url).toBe(canonicalUrl(upstream.url + live?.path));
    expect(call.url).not.toContain("abcdefgh12345678");
  }
});

test("a call made inside a listener of the request belongs to it", async () => {
  await app.get("/listener", { method: "POST", body: "x" });
  const [call] = await outgoingOf(await requestTo("/listener"), 1);
  expect(call?.url).toBe(`${upstream.url}/plain`);
});

test("probes and excluded routes are not recorded, and probes not traced", async () => {
  await app.get("/healthz");
  await app.get("/anything", { headers: { "user-agent": "tsdev-probe/1" } });
  await app.get("/private/9");
  await app.get("/reset");
  await app.get("/http?last");
  await requestTo("/http?last");
  const paths = collector.recordings.flatMap((one) => (one.kind === "request" ? one.path : []));
  expect(paths).not.toContain("/private/9");
  expect(paths).not.toContain("/reset");
  const traced = await collector.until("the excluded span", ({ spans }) => {
    const found = spans.map((span) => span.attributes["url.path"]);
    return found.includes("/reset") && found;
  });
  expect(traced).toContain("/private/9");
  expect(traced).not.toContain("/healthz");
  expect(traced).not.toContain("/anything");
});

test("a broken connection is recorded by its code", async () => {
  const other = await start({ TSDEV_RECORD_EXCLUDE: "" });
  try {
    await other.get("/reset");
    const call = await collector.until("the failed call", ({ recordings }) =>
      recordings.find((one): one is OutgoingRecording => one.kind === "outgoing" && one.url.endsWith("/reset")),
    );
    expect(call).toMatchObject({ status: null, error: expect.stringMatching(/ECONNRESET|UND_ERR_SOCKET/) });
  } finally {
    await other.stop();
  }
});

test("TSDEV_RECORD=off traces and does not record", async () => {
  const before = collector.recordings.length;
  const other = await start({ TSDEV_RECORD: "off", OTEL_SERVICE_NAME: "quiet" });
  try {
    await other.get("/http");
    await collector.until(
      "its spans",
      ({ spans }) => spans.filter((span) => span.resource["service.name"] === "quiet").length >= 2,
    );
    await other.get("/http");
    expect(collector.recordings.length).toBe(before);
  } finally {
    await other.stop();
  }
});

test("a run that ends is recorded with its trace and the request that started it", async () => {
  folder.write(
    "runs.mjs",
    `import http from "node:http";
     const server = http.createServer((request, response) => {
       const recorder = globalThis[Symbol.for("tsdev.recorder")];
       recorder.run({ workflow: "checkout", runId: "run_1", input: { email: "ada@example.com", n: 1 }, output: null, failed: true });
       response.end();
     }).listen(process.env.PORT, () => console.log("listening on " + server.address().port));`,
  );
  const other = await startApp({
    file: `${folder.path}/runs.mjs`,
    cwd: folder.path,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
  });
  try {
    await other.get("/start-run");
    const request = await requestTo("/start-run");
    const run = await collector.until("the run", ({ recordings }) =>
      recordings.find((one): one is RunRecording => one.kind === "run"),
    );
    expect(run).toMatchObject({
      workflow: "checkout",
      runId: "run_1",
      output: null,
      failed: true,
      traceId: request.traceId,
      requestSpanId: request.spanId,
      input: { n: 1 },
    });
    expect(JSON.stringify(run)).not.toContain("ada@");
  } finally {
    await other.stop();
  }
});
