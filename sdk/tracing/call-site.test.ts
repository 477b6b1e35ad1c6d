// Call sites: every outgoing span of a real app process names the line that made it.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PostgresFixture, startPostgres } from "../engine/postgres.fixture.ts";
import { type AppFolder, appFolder, type RunningApp, startApp } from "./app.fixture.ts";
import { type CollectedSpan, type CollectorFixture, startCollector } from "./collector.fixture.ts";
import { startUpstream, type UpstreamFixture } from "./upstream.fixture.ts";

let postgres: PostgresFixture;
let collector: CollectorFixture;
let upstream: UpstreamFixture;
let folder: AppFolder;
let app: RunningApp;

beforeAll(async () => {
  [postgres, collector, upstream] = await Promise.all([startPostgres(), startCollector(), startUpstream()]);
  folder = appFolder();
  app = await startApp({
    file: folder.add("queries.ts", "src/queries.ts"),
    cwd: folder.path,
    env: {
      DATABASE_URL: postgres.url,
      POOL_MAX: "1",
      UPSTREAM: upstream.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20tok",
      OTEL_RESOURCE_ATTRIBUTES: "tsdev.instance=i1",
      TSDEV_PROJECT: "shop",
      TSDEV_ENVIRONMENT: "production",
      TSDEV_DEPLOYMENT: "dep_1",
      TSDEV_COMMIT: "4f3c2a1",
    },
  });
});

afterAll(async () => {
  await app?.stop();
  await Promise.all([postgres?.stop(), collector?.leave(), upstream?.stop()]);
  folder?.remove();
});

/** The spans below the server span of a request to `path`, in the order in which they began. */
async function childrenOf(path: string, count: number): Promise<CollectedSpan[]> {
  return collector.until(`${count} spans below GET ${path}`, ({ spans }) => {
    const server = spans.find((span) => span.kind === 2 && span.attributes["url.path"] === path);
    const below = spans.filter((span) => span.traceId === server?.traceId && span !== server);
    return server && below.length >= count && below.sort((left, right) => left.startMs - right.startMs);
  });
}

const frame = (mark: string, name: string) => `src/queries.ts:${folder.line("src/queries.ts", mark)}:${name}`;
const framesOf = (span: CollectedSpan | undefined) =>
  JSON.parse(String(span?.attributes["tsdev.code.frames"])) as string[];

test("a server span is named by method and route, and carries the deployment", async () => {
  await app.get("/pay/8f14e45f-ceea-467f-a8d2-5a0c1b1c2d3e", { method: "POST", body: "{}" });
  const span = await collector.until("the server span", ({ spans }) =>
    spans.find((one) => one.kind === 2 && String(one.attributes["url.path"]).startsWith("/pay")),
  );
  expect(span.name).toBe("POST /pay/:id");
  expect(span.attributes["url.template"]).toBe("/pay/:id");
  expect(span.attributes).not.toHaveProperty("http.method");
  expect(span.resource).toMatchObject({
    "service.name": "app",
    "tsdev.instance": "i1",
    "tsdev.project": "shop",
    "tsdev.environment": "production",
    "tsdev.deployment": "dep_1",
    "vcs.ref.head.revision": "4f3c2a1",
  });
  expect(collector.headers.authorization).toBe("Bearer tok");
});

test("pool.query in a loop names the query's line first and the loop's line next", async () => {
  await app.get("/pool");
  const spans = await childrenOf("/pool", 3);
  expect(spans).toHaveLength(3);
  for (const span of spans) {
    expect(span.name).toMatch(/^pg.query:SELECT/);
    expect(span.attributes).toMatchObject({
      "code.file.path": "src/queries.ts",
      "code.line.number": folder.line("src/queries.ts", "pool"),
      "code.function.name": "customer",
      "db.system.name": "postgresql",
      "db.query.text": "SELECT * FROM customers WHERE id = $1",
    });
    expect(framesOf(span).slice(0, 2)).toEqual([frame("pool", "customer"), frame("pool-loop", "poolLoop")]);
  }
});

test("a Kysely query in a loop names both lines", async () => {
  await app.get("/kysely");
  const spans = await childrenOf("/kysely", 3);
  expect(spans).toHaveLength(3);
  for (const span of spans) {
    expect(framesOf(span).slice(0, 2)).toEqual([frame("kysely", "kyselyCustomer"), frame("kysely-loop", "kyselyLoop")]);
  }
});

test("a query on a checked-out client names its own line", async () => {
  await app.get("/transaction");
  const spans = await childrenOf("/transaction", 3);
  expect(spans.map((span) => framesOf(span)[0])).toContain(frame("client", "transaction"));
});

test("a query made in another query's callback names its own line, not that query's", async () => {
  await app.get("/callback");
  const spans = await childrenOf("/callback", 2);
  expect(spans.map((span) => framesOf(span)[0])).toEqual([
    frame("callback", "<anonymous>"),
    frame("after-callback", "afterCallback"),
  ]);
});

test.each([
  ["/fetch", "fetch", "callFetch", "GET /labels/:id"],
  ["/http", "http", "<anonymous>", "GET /plain"],
])("an outgoing call by %s names its line", async (path, mark, name, spanName) => {
  await app.get(path);
  const [span] = await childrenOf(path, 1);
  expect(span?.name).toBe(spanName);
  expect(framesOf(span)[0]).toBe(frame(mark, name));
});

test("the trace goes on into the called service", async () => {
  await app.get("/http?again");
  const span = await collector.until("the span of the call", ({ spans }) =>
    spans.find((one) =>
      upstream.requests.some((request) => request.headers.traceparent === `00-${one.traceId}-${one.spanId}-01`),
    ),
  );
  expect(span.kind).toBe(3);
});

describe("with one connection for five requests at once", () => {
  test("every query is in the trace of its own request, with its site, and no pool span is its parent", async () => {
    const ids = await Promise.all(
      Array.from({ length: 5 }, async (_, index) => {
        const traceId = `${index + 1}`.repeat(32);
        await app.get("/pool", { headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` } });
        return traceId;
      }),
    );
    for (const traceId of ids) {
      const spans = await collector.until("three queries", ({ spans }) => {
        const mine = spans.filter((span) => span.traceId === traceId);
        return mine.length >= 4 && mine;
      });
      const server = spans.find((span) => span.kind === 2);
      const queries = spans.filter((span) => span.name.startsWith("pg.query"));
      expect(queries).toHaveLength(3);
      for (const query of queries) {
        expect(query.parentSpanId).toBe(server?.spanId);
        expect(framesOf(query)[0]).toBe(frame("pool", "customer"));
      }
    }
    expect(collector.spans.some((span) => span.name === "pg-pool.connect")).toBe(false);
  });
});

test("no span is the child of one that is not sent", async () => {
  // The first query of the process opened a connection below the pool's own span.
  const connect = await collector.until("pg.connect", ({ spans }) => spans.find((span) => span.name === "pg.connect"));
  expect(connect.parentSpanId).toBe("");
  const sent = new Set(["", "00f067aa0ba902b7", ...collector.spans.map((span) => span.spanId)]);
  expect(collector.spans.filter((span) => !sent.has(span.parentSpanId)).map((span) => span.name)).toEqual([]);
});

test("a query of no request that waited for a request's connection is not counted to that request", async () => {
  await app.get("/hold");
  const span = await collector.until("the background query", ({ spans }) =>
    spans.find((one) => one.attributes["db.query.text"] === "SELECT 'background'"),
  );
  expect(span.parentSpanId).toBe("");
  expect(framesOf(span)[0]).toBe(frame("background", "<anonymous>"));
});

test("a CommonJS app has the same spans and sites", async () => {
  const common = await startApp({
    file: folder.add("common.cjs"),
    cwd: folder.path,
    env: { DATABASE_URL: postgres.url, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: "common" },
  });
  try {
    await common.get("/");
    const spans = await collector.until("both queries", ({ spans }) => {
      const found = spans.filter(
        (span) => span.resource["service.name"] === "common" && span.name.startsWith("pg.query"),
      );
      return found.length === 2 && found;
    });
    expect(framesOf(spans[1]).slice(0, 2)).toEqual([
      `common.cjs:${folder.line("common.cjs", "query")}:one`,
      `common.cjs:${folder.line("common.cjs", "loop")}:<anonymous>`,
    ]);
  } finally {
    await common.stop();
  }
});
