// Telemetry settings through their operations over a real Postgres: what is merged, refused, and what ingest sees.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TsdevError } from "../../sdk/errors.ts";
import type { Principal } from "../../sdk/operation.ts";
import { type ApiFixture, apiFixture, member } from "../api/api.fixture.ts";
import { OperationRegistry } from "../api/registry.ts";
import { storeAudit } from "../identity/audit.ts";
import { projectsWithoutRepositories } from "../projects/projects.fixture.ts";
import { EnvironmentSettings } from "./environment-settings.ts";
import type { ForwardStatus } from "./export/forwarder.ts";
import type { Tenant } from "./ingest/tables.ts";
import { telemetrySettingsOperations } from "./settings-operations.ts";
import { defaultTelemetrySettings } from "./telemetry-settings.ts";

let api: ApiFixture;
let settings: EnvironmentSettings;
let registry: OperationRegistry;
let developer: Principal;
const told = new Map<string, ForwardStatus[]>();
const copies = (of: Tenant) => told.get(JSON.stringify(of)) ?? [];
const where = { project: "shop", environment: "production" };

beforeAll(async () => {
  api = await apiFixture([]);
  const { db, redactor } = api;
  const projects = projectsWithoutRepositories(db);
  settings = new EnvironmentSettings(db);
  const operations = telemetrySettingsOperations({ settings, copies, projects });
  registry = new OperationRegistry({ operations, audit: storeAudit(db), redactor });
  developer = (await member(db, "developer")).principal;
  await projects.create(developer.organizationId, { name: "shop" });
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});
const call = (name: string, input: object) => registry.call(name, input, { principal: developer, face: "cli" });
const tenant = () => ({ organizationId: developer.organizationId, ...where });

test("an environment that has set nothing has the defaults, and so has one that is not there", async () => {
  expect(await call("telemetry.settings", where)).toEqual(defaultTelemetrySettings);
  expect(await settings.of(tenant())).toEqual(defaultTelemetrySettings);
  expect(await settings.of({ ...tenant(), project: "nothing" })).toEqual(defaultTelemetrySettings);
});

test("what became of copies is told of the own environment alone", async () => {
  const status = { endpoint: "http://a", sent: 2, dropped: 1, waiting: 0, waitingBytes: 0, lastError: "it is away" };
  told.set(JSON.stringify(tenant()), [status]);
  expect(await call("telemetry.copies", where)).toEqual({ copies: [status] });
  expect(await call("telemetry.copies", { ...where, environment: "nothing" }).catch((error) => error.code)).toBe(
    "not_found",
  );
});

test("a change holds at once, and leaves what it does not name", async () => {
  await call("telemetry.configure", { ...where, retentionDays: { logs: 3 }, sampling: { keepShare: 0.1 } });
  const forward = [{ endpoint: "http://127.0.0.1:4318" }];
  const after = await call("telemetry.configure", { ...where, sampling: { waitSeconds: 5 }, forward });
  expect(after).toEqual({
    retentionDays: { traces: 14, logs: 3, metrics: 30 },
    sampling: { keepShare: 0.1, slowQuantile: 0.95, waitSeconds: 5, minPerMinute: 6 },
    forward: [{ endpoint: "http://127.0.0.1:4318", headers: {}, signals: ["traces", "logs", "metrics"] }],
  });
  expect(await settings.of(tenant())).toEqual(after);
  expect(await call("telemetry.settings", where)).toEqual(after);
});

test("a value out of bounds is refused by its place, and changes nothing", async () => {
  const before = await call("telemetry.settings", where);
  const refusal = await call("telemetry.configure", { ...where, retentionDays: { traces: 0 } }).then(
    () => null,
    (error: TsdevError) => error.toJSON(),
  );
  expect(refusal).toMatchObject({ code: "invalid_input", path: "retentionDays.traces" });
  expect(await call("telemetry.settings", where)).toEqual(before);
});

test("with Postgres away, the settings that were known last hold, or the defaults", async () => {
  const broken = new EnvironmentSettings({
    selectFrom: () => {
      throw new Error("away");
    },
  } as never);
  expect(await broken.of(tenant())).toEqual(defaultTelemetrySettings);
});
