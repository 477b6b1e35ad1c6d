// The verdict by the finding's own measure on real traces: held, did not hold, and too little traffic to say.
import { SpanKind } from "@opentelemetry/api";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Ingest } from "../../platform/telemetry/ingest/ingest.ts";
import type { Tenant } from "../../platform/telemetry/ingest/tables.ts";
import {
  makeSpans,
  newTenant,
  type TemporaryTelemetry,
  temporaryTelemetry,
} from "../../platform/telemetry/telemetry-fixture.ts";
import { findingOf } from "./suggestion.fixture.ts";
import { verdictFor } from "./verdict.ts";

let telemetry: TemporaryTelemetry;
let tenant: Tenant;
beforeAll(async () => {
  telemetry = await temporaryTelemetry();
});
afterAll(() => telemetry?.[Symbol.asyncDispose]());
beforeEach(() => {
  tenant = newTenant();
});

/** Requests of GET /orders, each with so many queries. */
async function traffic(deployment: string, requests: number, queries: number): Promise<void> {
  const query = { name: "SELECT customers", kind: SpanKind.CLIENT, attributes: { "db.system.name": "postgresql" } };
  const roots = Array.from({ length: requests }, () => ({
    name: "GET /orders",
    kind: SpanKind.SERVER,
    attributes: { "http.route": "/orders", "http.request.method": "GET" },
    children: Array.from({ length: queries }, () => query),
  }));
  const body = Buffer.from(
    ProtobufTraceSerializer.serializeRequest(makeSpans(roots, { "tsdev.deployment": deployment }))!,
  );
  await new Ingest(telemetry.store).traces(body, "protobuf", tenant);
}
const verdict = (stillFound: boolean) =>
  verdictFor(telemetry.store.reader, tenant, findingOf(), { before: "dep_1", after: "dep_2", stillFound });

test("fewer queries a request and no finding any more: held, with the numbers", async () => {
  await traffic("dep_1", 25, 11);
  await traffic("dep_2", 30, 2);
  expect(await verdict(false)).toEqual({
    result: "held",
    deployment: "dep_2",
    measure: "database queries a request",
    before: 11,
    after: 2,
    requests: 30,
  });
});

test("found again, or no fewer queries: did not hold", async () => {
  await traffic("dep_1", 25, 11);
  await traffic("dep_2", 25, 11);
  expect(await verdict(true)).toMatchObject({ result: "did not hold", before: 11, after: 11 });
  expect(await verdict(false)).toMatchObject({ result: "did not hold" });
});

test("too little traffic after, or none stored of before: no verdict yet", async () => {
  await traffic("dep_2", 25, 2);
  expect(await verdict(false)).toBeNull();
  await traffic("dep_1", 25, 11);
  expect(await verdict(false)).not.toBeNull();
  tenant = newTenant();
  await traffic("dep_1", 25, 11);
  await traffic("dep_2", 19, 2);
  expect(await verdict(false)).toBeNull();
});
