// Declared errors: typed where they are thrown, and told of by name.
import { describe, expect, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { call } from "./call.ts";
import { DeclaredError, type Fail } from "./declared-error.ts";
import { procedure } from "./procedure.ts";

const reserve = procedure({
  name: "reserve",
  input: z.object({ sku: z.string(), count: z.number() }),
  output: z.object({ reserved: z.number() }),
  errors: {
    out_of_stock: { status: 409, data: z.object({ left: z.int() }) },
    closed: { status: 503 },
  },
  handler: async ({ sku, count }, ctx) => {
    expectTypeOf(count).toBeNumber();
    if (sku === "closed") ctx.fail("closed", "come back tomorrow");
    if (sku === "wrong") throw ctx.fail("out_of_stock", { left: 0.5 });
    if (count > 3) throw ctx.fail("out_of_stock", { left: 3 });
    return { reserved: count };
  },
});

test("the caller gets code, status, data, message and who declares it", async () => {
  const error = await call(reserve, { sku: "a", count: 4 }).catch((thrown: unknown) => thrown);
  expect(DeclaredError.is(error)).toBe(true);
  expect(error).toMatchObject({ code: "out_of_stock", status: 409, data: { left: 3 }, procedure: "reserve" });
  expect(JSON.parse(JSON.stringify(error))).toEqual({
    code: "out_of_stock",
    message: "out of stock",
    data: { left: 3 },
  });
  await expect(call(reserve, { sku: "closed", count: 1 })).rejects.toMatchObject({
    status: 503,
    data: undefined,
    message: "come back tomorrow",
  });
  expect(await call(reserve, { sku: "a", count: 1 })).toEqual({ reserved: 1 });
});

test("data that does not fit is the handler's mistake", async () => {
  await expect(call(reserve, { sku: "wrong", count: 1 })).rejects.toMatchObject({
    code: "invalid_output",
    path: "left",
  });
});

test("a code that is no name and a status that is no error's are refused where they are declared", () => {
  const declare = (errors: Record<string, { status: number }>) =>
    procedure({ name: "p", input: z.object({}), output: z.object({}), errors, handler: () => ({}) });
  expect(() => declare({ "Out of stock": { status: 409 } })).toThrow('procedure "p", errors: "Out of stock"');
  expect(() => declare({ gone: { status: 200 } })).toThrow("status 200");
});

describe("types", () => {
  type E = { out_of_stock: { status: 409; data: z.ZodObject<{ left: z.ZodNumber }> }; closed: { status: 503 } };
  const fail = (() => {}) as unknown as Fail<E>;

  test("codes that are not declared, and data that does not fit, do not compile", () => {
    // @ts-expect-error no such code
    fail("sold_out");
    // @ts-expect-error data is missing
    fail("out_of_stock");
    // @ts-expect-error data of another shape
    fail("out_of_stock", { right: 1 });
    // @ts-expect-error it has no data
    fail("closed", { left: 1 });
    fail("out_of_stock", { left: 1 }, "only one");
    fail("closed", "tomorrow");
  });

  test("a procedure without declared errors cannot fail by name, and its input is inferred all the same", () => {
    procedure({
      name: "p",
      input: z.object({ n: z.number() }),
      output: z.object({ n: z.number() }),
      handler: (input, ctx) => {
        expectTypeOf(input).toEqualTypeOf<{ n: number }>();
        expectTypeOf(ctx.fail).parameter(0).toBeNever();
        return input;
      },
    });
  });

  test("policies are typed by the input", () => {
    procedure({
      name: "p",
      input: z.object({ n: z.string().transform(Number) }),
      output: z.object({}),
      policies: {
        auth: {
          allow: (_who, input) => {
            expectTypeOf(input).toEqualTypeOf<{ n: number }>();
            return true;
          },
        },
        // @ts-expect-error the key is a text
        cache: { ttlMs: 1, key: ({ n }) => n },
      },
      handler: () => ({}),
    });
  });
});
