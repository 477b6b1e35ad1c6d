// Redis: ioredis and node-redis, against a real server; and ioredis where a bundler put it into the app.
import { Redis } from "ioredis";
import { build } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RedisFixture, redisAvailable, startRedis } from "../../triggers/redis.fixture.ts";
import { appFolder, startApp } from "../app.fixture.ts";
import { startCollector } from "../collector.fixture.ts";
import { customerNames, type TracedLibrary, tracedLibraryContract } from "./traced-library.contract.ts";

describe.skipIf(!(await redisAvailable()))("Redis", () => {
  let server: RedisFixture;
  beforeAll(async () => {
    server = await startRedis();
    const redis = new Redis(server.url);
    for (const [index, name] of customerNames.entries()) await redis.set(`customer:${index + 1}`, name);
    redis.disconnect();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());

  const shared = {
    env: () => ({ REDIS_URL: server.url }),
    statement: /^GET \?$/,
    attributes: {
      "db.system.name": "redis",
      "db.operation.name": "GET",
      "db.namespace": "0",
      "server.address": "127.0.0.1",
    },
    failure: { statement: /^INCR \?$/, errorType: "ERR", message: /not an integer/ },
  };
  const multi = { path: "multi", result: ["Cy", 1, 1], marks: ["multi"], statement: /^GET \?; INCR \?; DEL \?$/ };
  const pipeline = { path: "pipeline", result: ["Ada", "Bob"], marks: ["pipeline"], statement: /^GET \?; GET \?$/ };

  const libraries: TracedLibrary[] = [
    {
      ...shared,
      library: "ioredis",
      program: "ioredis.ts",
      others: [multi, pipeline, { path: "automatic", result: ["Ada", "Bob"], marks: ["automatic", "automatic"] }],
    },
    { ...shared, library: "node-redis", program: "node-redis.ts", others: [multi, pipeline] },
  ];
  tracedLibraryContract(libraries);

  test("ioredis in a bundle has its spans, with their places in the source", async () => {
    const folder = appFolder();
    const collector = await startCollector();
    folder.add("libraries/serve.ts", "serve.ts");
    await build({
      input: folder.add("libraries/ioredis.ts", "ioredis.ts"),
      platform: "node",
      output: { file: `${folder.path}/dist/app.mjs`, sourcemap: true },
      logLevel: "silent",
    });
    const app = await startApp({
      file: `${folder.path}/dist/app.mjs`,
      cwd: folder.path,
      env: { ...shared.env(), TSDEV_CALL_SITES: "always", OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
    });
    try {
      // What waits for the connection is published when the connection sends it, in its own context.
      await app.get("/fail");
      expect(await (await app.get("/loop")).json()).toEqual({ result: customerNames });
      const spans = await collector.until("three commands", (all) => {
        const server = all.spans.find(({ attributes }) => attributes["url.path"] === "/loop");
        const found = all.spans.filter(({ parentSpanId }) => server && parentSpanId === server.spanId);
        return found.length >= 3 && found;
      });
      expect(spans.map(({ attributes }) => attributes["db.query.text"])).toEqual(["GET ?", "GET ?", "GET ?"]);
      for (const { attributes } of spans) {
        const frames = JSON.parse(String(attributes["tsdev.code.frames"])) as string[];
        expect(frames.slice(0, 2).map((frame) => frame.replace(/:[^:]*$/, ""))).toEqual([
          `ioredis.ts:${folder.line("ioredis.ts", "query")}`,
          `ioredis.ts:${folder.line("ioredis.ts", "loop")}`,
        ]);
      }
    } finally {
      await app.stop();
      await collector.leave();
      folder.remove();
    }
  });
});
