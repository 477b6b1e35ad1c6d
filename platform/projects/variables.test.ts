// Variables through their operations: values are sealed, never answered and never kept in the audit log; reserved names are refused.
import { afterAll, beforeAll, expect, test } from "vitest";
import type { TsdevError } from "../../sdk/errors.ts";
import type { Principal } from "../../sdk/operation.ts";
import { type ApiFixture, apiFixture, member } from "../api/api.fixture.ts";
import { OperationRegistry } from "../api/registry.ts";
import { storeAudit } from "../identity/audit.ts";
import { MasterKey } from "../secrets/master-key.ts";
import { Redactor } from "../secrets/redactor.ts";
import { projectOperations } from "./operations.ts";
import { projectsWithoutRepositories } from "./projects.fixture.ts";
import { Variables } from "./variables.ts";

const value = "sk_live_51Hx-never-shown";
let api: ApiFixture;
let variables: Variables;
let registry: OperationRegistry;
let developer: Principal;
const where = { project: "shop", environment: "production" };

beforeAll(async () => {
  api = await apiFixture([]);
  const { db, redactor } = api;
  const projects = projectsWithoutRepositories(db);
  variables = new Variables({ db, redactor, masterKey: new MasterKey(Buffer.alloc(32, 3)) });
  registry = new OperationRegistry({
    operations: projectOperations(projects, variables),
    audit: storeAudit(db),
    redactor,
  });
  developer = (await member(db, "developer")).principal;
  await projects.create(developer.organizationId, { name: "shop" });
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});
const call = (name: string, input: object) => registry.call(name, input, { principal: developer, face: "cli" });
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: TsdevError) => error.toJSON(),
  );

test("a value is sealed at rest, and in no answer and no audit row", async () => {
  const set = await call("variables.set", { ...where, variables: { STRIPE_KEY: value, MODE: "plain" } });
  const listed = await call("variables.list", where);
  expect(listed).toEqual({
    variables: [
      { name: "MODE", secret: true },
      { name: "STRIPE_KEY", secret: true },
    ],
  });
  const audit = await api.db.selectFrom("audit_log").selectAll().execute();
  const rows = await api.db.selectFrom("environment_variables").selectAll().execute();
  expect(JSON.stringify([set, listed, audit])).not.toContain(value);
  expect(rows.some((row) => row.value_encrypted.toString("latin1").includes(value))).toBe(false);
  expect(await variables.all(rows[0]!.environment_id)).toContainEqual({ name: "STRIPE_KEY", value, secret: true });
});

test("a secret is known to the redactor when it is set, and after a start; one that is none is shown", async () => {
  await call("variables.set", { ...where, variables: { LATE_KEY: "late-secret-value" } });
  await call("variables.set", { ...where, variables: { PUBLIC_URL: "https://plain.example" }, secret: false });
  expect(api.redactor.redact("late-secret-value https://plain.example")).toBe("[redacted] https://plain.example");
  const redactor = new Redactor();
  await new Variables({ db: api.db, redactor, masterKey: new MasterKey(Buffer.alloc(32, 3)) }).learnSecrets();
  expect(redactor.redact("late-secret-value")).toBe("[redacted]");
});

test.each(["PORT", "DATABASE_URL", "NODE_OPTIONS", "OTEL_SERVICE_NAME", "TSDEV_COMMIT", "1A", "A-B", ""])(
  "the name %j is refused, the path names it, the value is not told, and the others are not set",
  async (name) => {
    const error = await refusal(call("variables.set", { ...where, variables: { GOOD_ONE: "good", [name]: value } }));
    expect(error).toMatchObject({ code: "invalid_input", path: `variables.${name}` });
    expect(JSON.stringify(error)).not.toContain(value);
    expect(JSON.stringify(await call("variables.list", where))).not.toContain("GOOD_ONE");
  },
);

test("a value that no process could be given is refused", async () => {
  expect(await refusal(call("variables.set", { ...where, variables: { A: "x\0y" } }))).toMatchObject({
    code: "invalid_input",
    path: "variables.A",
  });
});

test("a row moved to another environment does not open there", async () => {
  const { environment_id } = await api.db
    .selectFrom("environment_variables")
    .select("environment_id")
    .executeTakeFirstOrThrow();
  await api.db.updateTable("environment_variables").set({ name: "MOVED" }).where("name", "=", "STRIPE_KEY").execute();
  await expect(variables.all(environment_id)).rejects.toThrow("cannot be opened");
});
