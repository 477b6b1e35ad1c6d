// Redaction by contract: what is marked is hidden wherever it stands, and the value itself is not touched.
import { expect, test } from "vitest";
import { z } from "zod";
import { redact } from "./redaction.ts";

const secret = z.string().meta({ sensitive: true });
const hidden = "[redacted]";

interface Tree {
  secret: string;
  children: Tree[];
}
const Recursive = z.object({
  secret,
  get children() {
    return z.array(Recursive);
  },
});
const Lazy: z.ZodType<Tree> = z.lazy(() => z.object({ secret, children: z.array(Lazy) }));
const tree: Tree = { secret: "a", children: [{ secret: "b", children: [] }] };
const cleanTree = { secret: hidden, children: [{ secret: hidden, children: [] }] };

test.each<[string, z.ZodType, unknown, unknown]>([
  [
    "an object in an object",
    z.object({ a: z.object({ s: secret, n: z.number() }) }),
    { a: { s: "x", n: 1 } },
    { a: { s: hidden, n: 1 } },
  ],
  ["an array", z.array(z.object({ s: secret })), [{ s: "x" }, { s: "y" }], [{ s: hidden }, { s: hidden }]],
  ["a tuple and its rest", z.tuple([z.string(), secret], secret), ["a", "b", "c", "d"], ["a", hidden, hidden, hidden]],
  ["a record's values", z.record(z.string(), secret), { a: "x" }, { a: hidden }],
  ["a record's keys", z.record(secret, z.number()), { ada: 1 }, { [hidden]: 1 }],
  ["a map", z.map(secret, z.object({ s: secret })), new Map([["k", { s: "x" }]]), new Map([[hidden, { s: hidden }]])],
  ["a set", z.set(secret), new Set(["x"]), new Set([hidden])],
  ["any option of a union", z.union([z.object({ a: z.string() }), z.object({ a: secret })]), { a: "x" }, { a: hidden }],
  [
    "a discriminated union",
    z.discriminatedUnion("type", [
      z.object({ type: z.literal("card"), number: secret }),
      z.object({ type: z.literal("cash"), amount: z.number() }),
    ]),
    { type: "card", number: "4242" },
    { type: "card", number: hidden },
  ],
  [
    "an intersection",
    z.intersection(z.object({ a: z.string() }), z.object({ s: secret })),
    { a: "a", s: "x" },
    { a: "a", s: hidden },
  ],
  ["a catchall", z.object({ a: z.string() }).catchall(secret), { a: "a", b: "x" }, { a: "a", b: hidden }],
  ["a recursive object", Recursive, tree, cleanTree],
  ["a lazy schema", Lazy, tree, cleanTree],
  ["a pipe", z.object({ s: z.string().pipe(secret) }), { s: "x" }, { s: hidden }],
  ["a transform of it", z.object({ s: secret.transform(Number) }), { s: "4" }, { s: hidden }],
  [
    "a transform around it, wherever it went",
    z.object({ o: z.object({ s: secret }).transform(({ s }) => ({ renamed: s })) }),
    { o: { renamed: "x" } },
    { o: hidden },
  ],
  [
    "a preprocess before it",
    z.object({ o: z.preprocess((v) => JSON.parse(String(v)), z.object({ s: secret })) }),
    { o: '{"s":"x"}' },
    { o: hidden },
  ],
  [
    "a codec",
    z.object({ o: z.codec(secret, z.number(), { decode: Number, encode: String }) }),
    { o: 4 },
    { o: hidden },
  ],
  ["a template literal", z.object({ o: z.templateLiteral(["id-", secret]) }), { o: "id-x" }, { o: hidden }],
])("hides in %s", (_where, schema, value, clean) => {
  const before = structuredClone(value);
  expect(redact(schema, value)).toEqual(clean);
  expect(value).toEqual(before);
});

test.each<[string, z.ZodType]>([
  ["optional", secret.optional()],
  ["nullable", secret.nullable()],
  ["nullish", secret.nullish()],
  ["default", secret.default("d")],
  ["prefault", secret.prefault("d")],
  ["catch", secret.catch("d")],
  ["readonly", secret.readonly()],
  ["nonoptional", secret.optional().nonoptional()],
  ["a check after the mark", secret.min(1)],
  ["a refinement after the mark", secret.refine(() => true)],
  ["a description after the mark", secret.describe("a key")],
  ["a brand after the mark", secret.brand<"Key">()],
  ["trim after the mark", secret.trim()],
  ["a mark on the wrapper", z.string().optional().meta({ sensitive: true })],
])("hides through %s", (_how, schema) => {
  expect(redact(z.object({ s: schema, other: z.string() }), { s: "x", other: "o" })).toEqual({ s: hidden, other: "o" });
});

test("objects that were made from others hide the same", () => {
  const Base = z.object({ s: secret, a: z.string() });
  const value = { s: "x", a: "a" };
  for (const schema of [Base.partial(), Base.extend({ b: z.number().optional() }), Base.required(), Base.strict()]) {
    expect(redact(schema, value)).toEqual({ s: hidden, a: "a" });
  }
  expect(redact(Base.pick({ s: true }), { s: "x" })).toEqual({ s: hidden });
});

test("what is absent stays absent, and what is of another kind than what hides something in it is hidden whole", () => {
  const schema = z.object({ s: secret.nullish(), list: z.array(z.object({ s: secret })) });
  expect(redact(schema, { s: null, list: "no list" })).toEqual({ s: null, list: hidden });
  expect(redact(schema, { s: { deep: "x" }, list: [7] })).toEqual({ s: hidden, list: [hidden] });
});

test("of a union the options of another kind hide nothing", () => {
  const one = z.object({ s: secret, a: z.string() });
  const schema = z.object({ of: z.union([z.array(one), one, z.string()]) });
  expect(redact(schema, { of: { s: "x", a: "a" } })).toEqual({ of: { s: hidden, a: "a" } });
  expect(redact(schema, { of: [{ s: "x", a: "a" }] })).toEqual({ of: [{ s: hidden, a: "a" }] });
  expect(redact(schema, { of: "plain" })).toEqual({ of: "plain" });
});

test("maps and sets hide the same where they are lists, as JSON brings them", () => {
  const schema = z.object({ map: z.map(z.string(), secret), set: z.set(z.object({ s: secret })) });
  expect(redact(schema, { map: [["a", "x"]], set: [{ s: "x" }] })).toEqual({
    map: [["a", hidden]],
    set: [{ s: hidden }],
  });
});

test("a value in which nothing is sensitive is not copied", () => {
  const value = { a: { b: 1 } };
  expect(redact(z.object({ a: z.object({ b: z.number() }) }), value)).toBe(value);
});

test("a value that holds itself comes to an end", () => {
  const circle: Tree = { secret: "x", children: [] };
  circle.children.push(circle);
  expect(JSON.stringify(redact(Recursive, circle))).not.toContain('"x"');
});
