// The operation registry: who may call, what is refused, what is kept in the audit log, and that no secret gets through.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import { type Operation, operation, type Principal, streamOperation } from "../../sdk/operation.ts";
import { storeAudit } from "../identity/audit.ts";
import { type ApiFixture, apiFixture, member } from "./api.fixture.ts";
import { OperationRegistry } from "./registry.ts";

const secretValue = 'pa"ss\nword-1234';
let api: ApiFixture;
let developer: Principal;
let calls: unknown[] = [];

const write = { role: "developer", effect: "write", idempotent: true } as const;
const read = { role: "viewer", effect: "read", idempotent: true } as const;

const operations: Operation[] = [
  operation({
    name: "things.set",
    summary: "Set a thing",
    input: z.object({
      name: z.string(),
      items: z.array(z.object({ sku: z.string().min(2) })).default([]),
      value: z.string().meta({ sensitive: true }).optional(),
      nested: z.object({ token: z.string().meta({ sensitive: true }), label: z.string() }).optional(),
    }),
    output: z.object({ name: z.string() }),
    access: write,
    handler: async (input) => {
      calls.push(input);
      if (input.name === "throws") throw new TsdevError("conflict", { message: "held", fix: "wait" });
      if (input.name === "tells") throw new TsdevError("conflict", { message: secretValue, fix: `not ${secretValue}` });
      if (input.name === "breaks") throw new Error(`cannot use ${secretValue}`);
      if (input.name === "wrong") return { name: 3 as unknown as string };
      return { name: input.name };
    },
  }),
  operation({
    name: "things.show",
    summary: "Show what an app printed",
    input: z.object({}),
    output: z.object({ lines: z.array(z.object({ text: z.string() })) }),
    access: read,
    handler: async () => ({ lines: [{ text: `env: ${JSON.stringify({ DATABASE: secretValue })}` }] }),
  }),
  streamOperation({
    name: "things.watch",
    summary: "Watch things",
    input: z.object({ wrong: z.boolean().default(false) }),
    output: z.object({ text: z.string() }),
    access: read,
    handler: async function* ({ wrong }) {
      yield { text: `it is ${secretValue}` };
      if (wrong) yield { text: 1 as unknown as string };
    },
  }),
];

beforeAll(async () => {
  api = await apiFixture(operations);
  api.redactor.learn([secretValue]);
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  calls = [];
  developer = (await member(api.db, "developer")).principal;
});

const call = (name: string, input: unknown, principal = developer) =>
  api.registry.call(name, input, { principal, face: "cli" });
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: TsdevError) => error.toJSON(),
  );
const audited = (organizationId = developer.organizationId) =>
  api.db
    .selectFrom("audit_log")
    .select(["operation", "face", "input", "outcome", "error_code", "principal_id"])
    .where("organization_id", "=", organizationId)
    .orderBy("id")
    .execute();

describe("a call is refused before anything is done", () => {
  test("where the role does not allow it, and the try is kept", async () => {
    const { principal } = await member(api.db, "viewer", developer.organizationId);
    expect(await refusal(call("things.set", { name: "a" }, principal))).toMatchObject({ code: "forbidden" });
    expect(calls).toEqual([]);
    expect(await audited()).toMatchObject([{ outcome: "failed", error_code: "forbidden", input: null }]);
  });

  test("where there is no such operation, naming those of the noun", async () => {
    expect(await refusal(call("things.put", {}))).toMatchObject({
      code: "not_found",
      fix: expect.stringContaining("things.set"),
    });
  });

  test("where the input does not fit, naming the path", async () => {
    const input = { name: "a", items: [{ sku: "ok" }, { sku: "x" }] };
    expect(await refusal(call("things.set", input))).toMatchObject({ code: "invalid_input", path: "items.1.sku" });
    expect(await refusal(call("things.set", "text"))).toMatchObject({ code: "invalid_input" });
    expect(await refusal(call("things.set", undefined))).toMatchObject({ code: "invalid_input", path: "name" });
    expect(calls).toEqual([]);
  });

  test("where two operations have one name, at the start", () => {
    const twice = [...operations, ...operations];
    const make = () =>
      new OperationRegistry({ operations: twice, audit: async () => async () => {}, redactor: api.redactor });
    expect(make).toThrow("two operations are named");
  });
});

test("an answer that breaks its contract is an error of ours, and is kept as one", async () => {
  expect(await refusal(call("things.set", { name: "wrong" }))).toMatchObject({ code: "invalid_output" });
  expect(await audited()).toMatchObject([{ outcome: "failed", error_code: "invalid_output" }]);
});

describe("the audit log", () => {
  test("has every write with who, what, and through which face, and no read", async () => {
    await call("things.set", { name: "a" });
    await refusal(call("things.set", { name: "throws" }));
    await call("things.show", {});
    expect(await audited()).toEqual([
      {
        operation: "things.set",
        face: "cli",
        input: { name: "a", items: [] },
        outcome: "done",
        error_code: null,
        principal_id: developer.id,
      },
      {
        operation: "things.set",
        face: "cli",
        input: { name: "throws", items: [] },
        outcome: "failed",
        error_code: "conflict",
        principal_id: developer.id,
      },
    ]);
  });

  test("keeps no field marked sensitive, at any depth, and no known secret", async () => {
    await call("things.set", { name: secretValue, value: "v", nested: { token: "t", label: `l ${secretValue}` } });
    const [{ input } = { input: null }] = await audited();
    expect(input).toEqual({
      name: "[redacted]",
      items: [],
      value: "[redacted]",
      nested: { token: "[redacted]", label: "l [redacted]" },
    });
  });

  test("has a write before it begins, so that a kill in its middle does not lose it", async () => {
    const seen: unknown[] = [];
    const handler = async () => {
      seen.push(...(await audited()));
      return { name: "x" };
    };
    const registry = new OperationRegistry({
      operations: [{ ...operations[0], handler } as Operation],
      audit: storeAudit(api.db),
      redactor: api.redactor,
    });
    await registry.call("things.set", { name: "a" }, { principal: developer, face: "mcp" });
    expect(seen).toMatchObject([{ outcome: "started", face: "mcp" }]);
    expect(await audited()).toMatchObject([{ outcome: "done" }]);
  });
});

describe("a known secret does not get through", () => {
  test("in an answer, also inside JSON", async () => {
    expect(await call("things.show", {})).toEqual({ lines: [{ text: 'env: {"DATABASE":"[redacted]"}' }] });
  });

  test("unless it is what the caller asked for", async () => {
    const token = operation({
      name: "things.token",
      summary: "Make a token",
      input: z.object({}),
      output: z.object({ token: z.string(), note: z.string() }),
      secretOutput: ["token"],
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async () => ({ token: secretValue, note: `it is ${secretValue}` }),
    });
    const parts = { operations: [token as Operation], audit: storeAudit(api.db), redactor: api.redactor };
    const answer = await new OperationRegistry(parts).call("things.token", {}, { principal: developer, face: "cli" });
    expect(answer).toEqual({ token: secretValue, note: "it is [redacted]" });
  });

  test("in a stream", async () => {
    const values = [];
    for await (const value of api.registry.stream("things.watch", {}, { principal: developer, face: "cli" }))
      values.push(value);
    expect(values).toEqual([{ text: "it is [redacted]" }]);
  });

  test("in the message and the fix of an error, ours or another", async () => {
    expect(await refusal(call("things.set", { name: "tells" }))).toMatchObject({
      message: "[redacted]",
      fix: "not [redacted]",
    });
    expect(await refusal(call("things.set", { name: "breaks" }))).toMatchObject({
      code: "internal",
      message: "cannot use [redacted]",
    });
  });
});

test("a stream whose value breaks its contract ends with that error", async () => {
  const iterate = async () => {
    for await (const _ of api.registry.stream("things.watch", { wrong: true }, { principal: developer, face: "cli" }));
  };
  expect(await refusal(iterate())).toMatchObject({ code: "invalid_output" });
});
