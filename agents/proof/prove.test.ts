// Prove: right and wrong patches of a small app, replayed against it, each with the verdict it deserves.
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Finding } from "../../analyzers/finding.ts";
import { openOwnedProcesses } from "../../platform/runtime/owned-processes.ts";
import { type EmbeddedPostgres, openEmbeddedPostgres } from "../../platform/store/embedded-postgres.ts";
import type { OutgoingRecording, RequestRecording } from "../../platform/telemetry/recording.ts";
import { bodyDigest } from "../../sdk/tracing/recording.ts";
import { openClient } from "./proof-server.ts";
import { prove } from "./prove.ts";
import type { ProofMeasure, ProofRequest } from "./request.ts";

const fixtures = join(import.meta.dirname, "__fixtures__");
const carrier = "http://carrier.test:4010";
// A proof takes 20 seconds on a quiet machine.
vi.setConfig({ testTimeout: 240_000 });

let directory: string;
let postgres: EmbeddedPostgres;
let databaseUrl: string;
let production: pg.Client;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "prove-"));
  postgres = await openEmbeddedPostgres({ directory: join(directory, "postgres") });
  const admin = await openClient(postgres.adminUrl);
  await admin.query("CREATE ROLE shop LOGIN PASSWORD 'production-secret'");
  await admin.query("CREATE DATABASE shop_production OWNER shop");
  await admin.end();
  const url = new URL(postgres.adminUrl);
  url.pathname = "/shop_production";
  url.username = "shop";
  url.password = "production-secret";
  databaseUrl = url.href;
  production = await openClient(databaseUrl);
  // As the deployed version has made it.
  await production.query(`
    CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE);
    CREATE TABLE orders (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers,
      total integer NOT NULL, doubled integer GENERATED ALWAYS AS (total * 2) STORED,
      token uuid NOT NULL DEFAULT gen_random_uuid(), shipped_as text, placed_at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE notes (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);
    INSERT INTO customers SELECT n, 'Customer ' || n, n || '@shop.test' FROM generate_series(1, 200) n;
    INSERT INTO orders (customer_id, total, placed_at)
      SELECT 1 + n % 200, n, '2026-01-01'::timestamptz + n * interval '1 minute' FROM generate_series(1, 2000) n;`);
});
afterAll(async () => {
  await production?.end();
  await postgres?.stop();
  await rm(directory, { recursive: true, force: true });
});

let clock = Date.parse("2026-11-01T10:00:00Z");
let traces = 0;
const newTrace = () => (++traces).toString(16).padStart(32, "0");

function incoming(method: string, path: string, body: unknown, status: number, traceId = newTrace()): RequestRecording {
  clock += 100;
  return {
    kind: "request",
    traceId,
    spanId: "1".repeat(16),
    time: clock,
    durationMs: 20,
    method,
    path,
    route: path.replace(/\d+/, ":id"),
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: { text: body === undefined ? "" : JSON.stringify(body), base64: false, truncated: false },
    status,
  };
}

function outgoing(
  request: RequestRecording,
  call: { method: string; path: string; type: string; body: string; status: number; answer: unknown; ms: number },
): OutgoingRecording {
  return {
    kind: "outgoing",
    traceId: request.traceId,
    spanId: "2".repeat(16),
    time: request.time + 1,
    durationMs: call.ms,
    method: call.method,
    url: carrier + call.path,
    bodyDigest: bodyDigest(call.type, call.body),
    number: 1,
    status: call.status,
    headers: { "content-type": "application/json" },
    body: { text: JSON.stringify(call.answer), base64: false, truncated: false },
    error: null,
  };
}

const common = {
  fingerprint: "f",
  service: "shop",
  title: "t",
  file: null,
  line: null,
  occurrences: 1,
  of: 1,
  wastedMs: 1,
  p50Ms: 1,
  p95Ms: 1,
};
const nPlusOne: Finding = {
  ...common,
  detector: "n-plus-one",
  traceIds: [],
  evidence: {
    kind: "n-plus-one",
    statement: "s",
    databaseSystem: "postgresql",
    repeats: { median: 20, max: 20 },
    frames: [],
    operation: "GET /orders",
  },
};
const parallelSteps = (traceIds: string[]): Finding => ({
  ...common,
  detector: "parallel-steps",
  traceIds,
  evidence: {
    kind: "parallel-steps",
    workflow: "announce",
    nodes: [],
    procedures: [],
    durationsMs: [],
    runs: 1,
    savedMs: 1,
  },
});
const flakyStep = (traceIds: string[]): Finding => ({
  ...common,
  detector: "flaky-step",
  traceIds,
  evidence: {
    kind: "flaky-step",
    workflow: "ship",
    node: "ship",
    procedure: "ship",
    attempts: 1,
    failures: 1,
    errorTypes: {},
    healed: { of: 1, count: 1 },
    safeBecause: [],
  },
});

const listing = () => Array.from({ length: 20 }, () => incoming("GET", "/orders", undefined, 200));
const placing = () =>
  Array.from({ length: 6 }, (_, n) => incoming("POST", "/orders", { customerId: n + 1, total: n }, 201));

async function run(
  variant: string,
  finding: Finding,
  measure: ProofMeasure,
  requests: RequestRecording[],
  calls: OutgoingRecording[] = [],
  more: Partial<ProofRequest> = {},
) {
  const id = `prf_${variant}`;
  const lines: string[] = [];
  const proof = await prove(
    {
      id,
      finding,
      base: { commit: "base", folder: join(fixtures, "base") },
      patch: { commit: variant, folder: join(fixtures, variant) },
      start: "node main.ts",
      health: "/",
      service: "shop",
      databaseUrl,
      requests,
      outgoing: calls,
      runs: [],
      env: { CARRIER_URL: carrier },
      measure,
      ...more,
    },
    {
      adminUrl: postgres.adminUrl,
      directory: join(directory, id),
      registerUrl: pathToFileURL(join(import.meta.dirname, "../../sdk/register.ts")).href,
      nodePath: process.execPath,
      spawn: openOwnedProcesses(directory).own(`proof:${id}`).spawn,
      progress: (message) => lines.push(message),
      signal: new AbortController().signal,
    },
  );
  expect(await untouched()).toEqual({ orders: 2000, notes: 0, left: [] });
  expect(existsSync(join(directory, id))).toBe(false);
  return proof;
}

/** Production as it was, and nothing left on its server. */
async function untouched() {
  const { rows } = await production.query(
    `SELECT (SELECT count(*)::int FROM orders) AS orders, (SELECT count(*)::int FROM notes) AS notes,
     ARRAY(SELECT datname::text FROM pg_database WHERE datname LIKE 'proof%' UNION ALL
           SELECT slot_name::text FROM pg_replication_slots UNION ALL SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'proof%') AS left`,
  );
  return rows[0];
}

test("a right batch of an N+1 is equal and better, with exact counts", async () => {
  const proof = await run("batched", nPlusOne, "round-trips", [...listing(), ...placing()]);
  expect(proof.differences).toEqual([]);
  expect(proof).toMatchObject({
    equal: true,
    better: true,
    requests: 26,
    roundTripsPerRequest: { before: 21, after: 2 },
  });
  expect(proof.spansPerRequest.before).toBeGreaterThan(proof.spansPerRequest.after + 15);
  expect(proof.p50Ratio.high).toBeLessThan(1);
  expect(proof.conditions.map((each) => each.name)).toEqual([
    "as recorded",
    "1 ms database delay (simulated)",
    "10x rows (simulated)",
  ]);
});

test("a batch that changes the order of the list is not equal", async () => {
  const proof = await run("reordered", nPlusOne, "round-trips", [...listing(), ...placing()]);
  expect(proof).toMatchObject({ equal: false, better: false, boots: 0 });
  expect(proof.differences[0]).toContain("GET /orders: body: $[0]");
});

test("a patch that writes another row is not equal", async () => {
  const proof = await run("extra-row", nPlusOne, "round-trips", [...listing(), ...placing()]);
  expect(proof).toMatchObject({ equal: false, better: false });
  expect(proof.differences.join("\n")).toContain("POST /orders: changed rows: only after: public.notes: INSERT");
});

test("a patch that calls what was never recorded is not equal, and the call does not go out", async () => {
  const proof = await run("unrecorded", nPlusOne, "round-trips", listing());
  expect(proof).toMatchObject({ equal: false, better: false });
  expect(proof.differences.join("\n")).toContain(`outgoing call without a recording: POST ${carrier}/audit`);
});

test("a retry turns recorded failures into what the base version makes of the success", async () => {
  const requests: RequestRecording[] = [];
  const calls: OutgoingRecording[] = [];
  for (let order = 1; order <= 30; order += 1) {
    // Every tenth fails once; the client asks again later.
    for (const status of order % 10 === 0 ? [503, 200] : [200]) {
      const request = incoming("POST", `/orders/${order}/ship`, {}, status === 200 ? 200 : 503);
      requests.push(request);
      const body = JSON.stringify({ order, weight: 100 });
      const answer = status === 200 ? { code: `T-${order}` } : { error: "busy" };
      calls.push(
        outgoing(request, {
          method: "PUT",
          path: `/shipments/${order}`,
          type: "application/json",
          body,
          status,
          answer,
          ms: 3,
        }),
      );
    }
  }
  const finding = flakyStep([requests[0]!.traceId]);
  const proof = await run("retrying", finding, "failures", requests, calls);
  expect(proof.differences).toEqual([]);
  expect(proof).toMatchObject({ equal: true, better: true, requests: 33 });
  expect(proof.failureRate).toEqual({ before: 3 / 33, after: 0 });
});

test("two independent calls at once are equal and faster", async () => {
  const calls: OutgoingRecording[] = [];
  const requests = Array.from({ length: 24 }, () => incoming("POST", "/announce", {}, 200));
  for (const request of requests) {
    for (const path of ["/mail", "/event"]) {
      calls.push(
        outgoing(request, {
          method: "POST",
          path,
          type: "text/plain;charset=UTF-8",
          body: "{}",
          status: 200,
          answer: { path },
          ms: 20,
        }),
      );
    }
  }
  const proof = await run("parallel", parallelSteps([requests[0]!.traceId]), "time", requests, calls);
  expect(proof.differences).toEqual([]);
  expect(proof).toMatchObject({ equal: true, better: true });
  expect(proof.p50Ratio.high).toBeLessThan(0.97);
});

test("the same version twice is equal but not better", async () => {
  const proof = await run("base", nPlusOne, "round-trips", listing());
  expect(proof).toMatchObject({ equal: true, better: false, roundTripsPerRequest: { before: 21, after: 21 } });
});

test("a version that does not start is not equal, and its last lines are the reason", async () => {
  const proof = await run("crashing", nPlusOne, "round-trips", listing());
  expect(proof).toMatchObject({ equal: false, better: false, requests: 0 });
  expect(proof.differences[0]).toMatch(/patch version ended while it was starting[\s\S]*no such setting/);
});
