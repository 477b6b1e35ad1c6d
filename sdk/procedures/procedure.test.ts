// Procedures: contracts in and out, the context.
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { call } from "./call.ts";
import { procedure } from "./procedure.ts";

const Item = z.object({ sku: z.string(), count: z.number() });

describe("a procedure", () => {
  test("gets its input as the contract parses it and gives its output the same way", async () => {
    const trim = procedure({
      name: "trim",
      input: z.object({ text: z.string().trim(), times: z.number().default(2) }),
      output: z.object({ text: z.string().toUpperCase() }),
      handler: async ({ text, times }) => ({ text: text.repeat(times) }),
    });
    expect(await call(trim, { text: " ab " })).toEqual({ text: "ABAB" });
  });

  test("refuses an input that does not fit, with the path of the place, and does not run", async () => {
    let ran = false;
    const order = procedure({
      name: "order",
      input: z.object({ items: z.array(Item) }),
      output: z.object({}),
      handler: async () => {
        ran = true;
        return {};
      },
    });
    const wrong = {
      items: [
        { sku: "a", count: 1 },
        { sku: 2, count: 1 },
      ],
    } as never;
    await expect(call(order, wrong)).rejects.toMatchObject({ code: "invalid_input", path: "items.1.sku" });
    expect(ran).toBe(false);
  });

  test("whose handler returns what its contract forbids is an invalid_output with the path", async () => {
    const broken = procedure({
      name: "broken",
      input: z.object({}),
      output: z.object({ total: z.number().min(0) }),
      handler: async () => ({ total: -1 }),
    });
    await expect(call(broken, {})).rejects.toMatchObject({ code: "invalid_output", path: "total" });
  });

  test("sees the caller's signal and idempotency key, and a new key where none is given", async () => {
    const keys: string[] = [];
    const seen = procedure({
      name: "seen",
      input: z.object({}),
      output: z.object({ aborted: z.boolean() }),
      handler: (_input, ctx) => {
        keys.push(ctx.idempotencyKey);
        return { aborted: ctx.signal.aborted };
      },
    });
    await call(seen, {}, { idempotencyKey: "k" });
    await call(seen, {});
    await call(seen, {});
    expect(keys[0]).toBe("k");
    expect(new Set(keys).size).toBe(3);
    await expect(call(seen, {}, { signal: AbortSignal.abort(new Error("gone")) })).rejects.toThrow("gone");
  });

  test("knows the line of its declaration", () => {
    const here = procedure({ name: "here", input: z.object({}), output: z.object({}), handler: () => ({}) });
    expect(here.source?.file).toMatch(/procedure\.test\.ts$/);
    expect(here.source?.line).toBe(Number(/:(\d+):\d+/.exec(new Error("x").stack?.split("\n")[1] ?? "")?.[1]) - 2);
  });
});

test("a value that is nested deeper than can be checked is invalid input, and no fault of ours", async () => {
  const Tree: z.ZodType = z.object({ kid: z.lazy(() => Tree).optional() });
  const grow = procedure({ name: "grow", input: Tree, output: z.void(), handler: () => {} });
  const deep = JSON.parse(`${'{"kid":'.repeat(50_000)}{}${"}".repeat(50_000)}`);
  await expect(call(grow, deep)).rejects.toMatchObject({ code: "invalid_input", message: /nested too deeply/ });
});
