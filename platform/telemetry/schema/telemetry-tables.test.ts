// What is computed of a span when it is stored, from the conventions in use now and those before.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openEmbeddedEngine } from "../embedded-engine.ts";
import type { TelemetryEngine } from "../engine.ts";
import { migrateTelemetry } from "../migrate.ts";

let directory: string;
let engine: TelemetryEngine;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-tables-"));
  engine = await openEmbeddedEngine(directory);
  await migrateTelemetry(engine);
});
afterAll(async () => {
  await engine.close();
  await rm(directory, { recursive: true, force: true });
});

async function computed(name: string, kind: string, attributes: Record<string, string>) {
  const map = Object.entries(attributes).flatMap((pair) => pair.map((text) => `'${text}'`));
  await engine.command(
    `INSERT INTO otel_traces (Timestamp, SpanId, SpanName, SpanKind, SpanAttributes)
      SELECT now64(9), '${name}', '${name}', '${kind}', map(${map.join(", ")})`,
  );
  const sql = `SELECT Operation, HttpStatus, NormalizedQuery, StmtHash != 0 AS hashed FROM otel_traces WHERE SpanId = '${name}'`;
  return (JSON.parse(await engine.select(sql, {})) as unknown[])[0];
}
const nothing = { HttpStatus: 0, NormalizedQuery: "", hashed: 0 };

test("a request is its method and route, whatever the span is called", async () => {
  const now = { "http.request.method": "GET", "http.route": "/orders/:id", "http.response.status_code": "404" };
  expect(await computed("GET", "Server", now)).toEqual({ ...nothing, Operation: "GET /orders/:id", HttpStatus: 404 });
  const before = { "http.method": "POST", "http.route": "/pay", "http.status_code": "201" };
  expect(await computed("HTTP POST", "Server", before)).toEqual({
    ...nothing,
    Operation: "POST /pay",
    HttpStatus: 201,
  });
  expect(await computed("odd", "Server", { "http.route": "/x", "http.status_code": "none" })).toEqual({
    ...nothing,
    Operation: "/x",
  });
});

test("a message is named with its destination, once", async () => {
  expect(await computed("publish", "Producer", { "messaging.destination.name": "orders" })).toMatchObject({
    Operation: "publish orders",
  });
  expect(await computed("process mails", "Consumer", { "messaging.destination": "mails" })).toMatchObject({
    Operation: "process mails",
  });
});

test("a statement is kept without its values, and anything else is its own name", async () => {
  expect(await computed("SELECT", "Client", { "db.query.text": "SELECT * FROM t WHERE id IN (1, 2)" })).toEqual({
    Operation: "SELECT",
    HttpStatus: 0,
    NormalizedQuery: "SELECT * FROM t WHERE id IN (?..)",
    hashed: 1,
  });
  expect(await computed("old", "Client", { "db.statement": "SELECT 7" })).toMatchObject({
    NormalizedQuery: "SELECT ?",
  });
  expect(await computed("work", "Internal", { "http.route": "/x" })).toEqual({ ...nothing, Operation: "work" });
});
