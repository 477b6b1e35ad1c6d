// The example without an SDK, under register alone: traced, recorded in the platform's shape, and stopped cleanly.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Recording } from "../platform/telemetry/recording.ts";
import { type PostgresFixture, startPostgres } from "../sdk/engine/postgres.fixture.ts";
import { type RunningApp, startApp } from "../sdk/tracing/app.fixture.ts";
import { type CollectorFixture, startCollector } from "../sdk/tracing/collector.fixture.ts";

const example = join(dirname(dirname(fileURLToPath(import.meta.url))), "examples/plain");
let postgres: PostgresFixture;
let collector: CollectorFixture;
let app: RunningApp;

beforeAll(async () => {
  [postgres, collector] = await Promise.all([startPostgres(), startCollector()]);
  app = await startApp({
    file: "server.mjs",
    cwd: example,
    env: { DATABASE_URL: postgres.url, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: "plain" },
  });
});

afterAll(async () => {
  await app?.stop();
  await Promise.all([postgres?.stop(), collector?.leave()]);
});

test("its N+1 is seen: one list query and one query for each note, from one line", async () => {
  for (const text of ["one", "two", "three"]) {
    const answer = await app.get("/notes", { method: "POST", body: JSON.stringify({ text }) });
    expect(answer.status).toBe(201);
  }
  await app.get("/notes");
  const queries = await collector.until("the queries of GET /notes", ({ spans }) => {
    const server = spans.find((span) => span.name === "GET /notes");
    const below = spans.filter((span) => span.traceId === server?.traceId && span.name.startsWith("pg.query"));
    return server && below.length >= 4 && below;
  });
  expect(queries).toHaveLength(4);
  const repeated = queries.filter((span) => span.attributes["code.function.name"] === "findNote");
  expect(repeated).toHaveLength(3);
  expect(new Set(repeated.map((span) => span.attributes["tsdev.code.frames"])).size).toBe(1);
  expect(repeated[0]?.attributes["code.file.path"]).toBe("server.mjs");
});

test("its recordings have the shape that the platform takes", async () => {
  await app.get("/notes/1");
  await collector.until("the recordings", ({ recordings }) =>
    recordings.some((one) => one.kind === "request" && one.route === "/notes/:id"),
  );
  for (const recording of collector.recordings) expect(Recording.parse(recording)).toEqual(recording);
});

test("its own SIGTERM handler ends it, and its last request arrives", async () => {
  await app.get("/notes/2");
  app.process.kill("SIGTERM");
  expect(await app.ended).toBe(0);
  expect(collector.spans.some((span) => span.attributes["url.path"] === "/notes/2")).toBe(true);
});
