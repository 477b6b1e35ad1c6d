// An environment that keeps a part of its traces, by its settings in Postgres and with the real database: what the faces then say.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Principal } from "../../../sdk/operation.ts";
import { type ApiFixture, apiFixture, member } from "../../api/api.fixture.ts";
import { projectsWithoutRepositories } from "../../projects/projects.fixture.ts";
import { EnvironmentSettings } from "../environment-settings.ts";
import { Ingest, settingsBounds, settingsSampling } from "../ingest/ingest.ts";
import { protobufOf } from "../ingest/otlp-messages.fixture.ts";
import { operationMetrics } from "../query/operation-metrics.ts";
import { type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { defaultTelemetrySettings } from "../telemetry-settings.ts";
import { findingTraces } from "./finding-traces.ts";
import { exportOf, type SentSpan, traceId } from "./sampler.fixture.ts";

let api: ApiFixture;
let telemetry: TemporaryTelemetry;
let principal: Principal;
let ingest: Ingest;
let environmentId: string;
const where = { project: "shop", environment: "production" };
const tenant = () => ({ organizationId: principal.organizationId, ...where });

beforeAll(async () => {
  [api, telemetry] = await Promise.all([apiFixture([]), temporaryTelemetry()]);
  principal = (await member(api.db, "developer")).principal;
  const projects = projectsWithoutRepositories(api.db);
  await projects.create(principal.organizationId, { name: "shop" });
  environmentId = (await projects.environment(principal.organizationId, "shop", "production")).environment.id;
  const settings = new EnvironmentSettings(api.db);
  await settings.set(environmentId, {
    ...defaultTelemetrySettings,
    sampling: { keepShare: 0.2, slowQuantile: 0.95, waitSeconds: 1, minPerMinute: 6 },
  });
  const settingsOf = settings.of.bind(settings);
  ingest = new Ingest(telemetry.store, settingsBounds(settingsOf), settingsSampling(settingsOf));
  telemetry.store.tail.citedBy((one) => findingTraces(api.db, one));
});
afterAll(async () => {
  await telemetry?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
});

async function sendAndWait(spans: SentSpan[], to = tenant()): Promise<void> {
  // Both encodings of the same environment.
  const half = Math.ceil(spans.length / 2);
  await ingest.traces(protobufOf("Traces", exportOf(spans.slice(0, half))), "protobuf", to);
  await ingest.traces(Buffer.from(JSON.stringify(exportOf(spans.slice(half)))), "json", to);
  await expect.poll(() => telemetry.store.tail.state().windows, { timeout: 20_000 }).toBe(0);
}
const metrics = async () => {
  const filter = { ...tenant(), since: Date.now() - 600_000, until: Date.now() + 60_000 };
  return (await operationMetrics(telemetry.store.reader, filter, 10))[0]!;
};
const storedSpans = async (organizationId: string) =>
  (
    await telemetry.store.reader.query<{ spans: number }>(
      "SELECT count() AS spans FROM otel_traces WHERE Organization = {organizationId:String}",
      { organizationId },
    )
  )[0]!.spans;

test("a part of the spans is stored, requests and errors are told as they were, and what a finding cites is there", async () => {
  await api.db
    .insertInto("findings")
    .values({
      id: "fin_1",
      organization_id: principal.organizationId,
      project_id: (await api.db.selectFrom("projects").select("id").executeTakeFirstOrThrow()).id,
      environment_id: environmentId,
      detector: "n-plus-one",
      fingerprint: "f",
      deployment_id: null,
      finding: JSON.stringify({ traceIds: Array.from({ length: 30 }, (_, i) => traceId(`cited-${i}`)) }),
    })
    .execute();
  const ordinary = Array.from({ length: 1_500 }, (_, i) => ({ trace: `o-${i}`, failed: i % 30 === 0 }));
  const cited = Array.from({ length: 30 }, (_, i) => ({ trace: `cited-${i}` }));
  await sendAndWait([...ordinary, ...cited]);
  const stored = await storedSpans(principal.organizationId);
  expect(stored).toBeGreaterThan(250);
  expect(stored).toBeLessThan(600);
  const { requests, errors } = await metrics();
  expect(errors).toBe(50);
  // Four standard deviations of a lot of one in five.
  expect(Math.abs(requests - 1_530)).toBeLessThan(4 * Math.sqrt(1_530 * 4));
  const [kept] = await telemetry.store.reader.query<{ traces: number }>(
    "SELECT uniqExact(TraceId) AS traces FROM otel_traces WHERE TraceId IN {ids:Array(String)}",
    { ids: cited.map(({ trace }) => traceId(trace)) },
  );
  expect(kept!.traces).toBe(30);
});

test("a batch that comes again while it waits, or after it was decided, counts once", async () => {
  const before = await storedSpans(principal.organizationId);
  const body = Buffer.from(JSON.stringify(exportOf([{ trace: "twice", failed: true }])));
  await ingest.traces(body, "json", tenant());
  // As another process would, that has not answered it.
  const other = new Ingest(telemetry.store, undefined, async () => ({
    ...defaultTelemetrySettings.sampling,
    keepShare: 0.2,
    waitSeconds: 1,
  }));
  await other.traces(body, "json", tenant());
  await expect.poll(() => telemetry.store.tail.state().windows, { timeout: 20_000 }).toBe(0);
  const third = new Ingest(telemetry.store, undefined, async () => defaultTelemetrySettings.sampling);
  await third.traces(body, "json", tenant());
  expect(await storedSpans(principal.organizationId)).toBe(before + 1);
});

test("an environment that has set nothing stores every span at once", async () => {
  const other = { organizationId: "org_unset", project: "none", environment: "production" };
  const spans = Array.from({ length: 200 }, (_, i) => ({ trace: `all-${i}` }));
  await ingest.traces(protobufOf("Traces", exportOf(spans)), "protobuf", other);
  expect(await storedSpans("org_unset")).toBe(200);
});
