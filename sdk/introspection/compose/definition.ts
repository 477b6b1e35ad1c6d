// Definition: the contract of a workflow that is given as data. Functions of the chain are paths and comparisons here.
import { z } from "zod";
import type { JsonSchema } from "../json-schema.ts";

const mostValues = 20_000;
const deepest = 40;
const longest = 10_000;
const forbidden = new Set(["__proto__", "constructor", "prototype"]);

/** A path such as `$.order.lines[0].sku`. */
const Path = z
  .string()
  .regex(/^\$\.[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*|\[\d{1,6}\])*$/, "is no path such as $.order.total");
const Literal = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const Name = z.string().min(1).max(100);
const Id = Name.regex(/^[A-Za-z_][A-Za-z0-9_-]*$/, "use letters, digits, _ and -");
const Key = Name.regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "use letters, digits and _").refine(
  (name) => !forbidden.has(name),
  "this is no name for a key",
);
/** A key of an input: where its value comes from. */
const Mapping = z.record(Key, z.union([Path, z.strictObject({ value: z.json() })]));
const Ms = z.int().min(0).max(31_536_000_000);
const Count = z.int().min(1).max(100_000);

const Comparison = z.strictObject({
  path: Path,
  op: z.enum(["eq", "ne", "gt", "gte", "lt", "lte", "in", "exists"]),
  value: z.union([Literal, z.array(Literal)]).optional(),
});
export type Comparison = z.infer<typeof Comparison>;

const policies = {
  retry: z
    .strictObject({
      maxAttempts: z.int().min(1).max(100),
      backoff: z.enum(["exponential", "fixed"]).optional(),
      initialMs: Ms.optional(),
      maxMs: Ms.optional(),
      on: z.array(Name).optional(),
      budget: z.number().min(0).max(1).optional(),
    })
    .optional(),
  timeout: z.strictObject({ ms: z.int().min(1).max(31_536_000_000) }).optional(),
  cache: z.strictObject({ ttlMs: Ms, staleMs: Ms.optional() }).optional(),
  rateLimit: z.strictObject({ limit: Count, perMs: Count }).optional(),
  circuitBreaker: z.strictObject({ failures: Count, openMs: Ms }).optional(),
};

const Step = z.strictObject({
  op: z.literal("step"),
  procedure: Name,
  as: Key.optional(),
  with: Mapping.optional(),
  compensate: z.strictObject({ procedure: Name, with: Mapping.optional() }).optional(),
  ...policies,
});
const Parallel = z.strictObject({ op: z.literal("parallel"), procedures: z.array(Name).min(2).max(50), ...policies });
const Sleep = z.strictObject({ op: z.literal("sleep"), id: Id, ms: Ms.optional(), until: Path.optional() });
const WaitFor = z.strictObject({
  op: z.literal("waitFor"),
  id: Key,
  event: Name,
  key: Path.optional(),
  timeoutMs: Ms.optional(),
  onTimeout: z.literal("continue").optional(),
});
const Approve = z.strictObject({
  op: z.literal("approve"),
  id: Key,
  timeoutMs: Ms.optional(),
  onTimeout: z.literal("reject").optional(),
  onReject: z.literal("continue").optional(),
});
const Call = z.strictObject({ op: z.literal("call"), workflow: Name, as: Key.optional(), with: Mapping.optional() });
const When = z.strictObject({
  op: z.literal("when"),
  id: Id,
  if: Comparison,
  // biome-ignore lint/suspicious/noThenProperty: the name that the builder and the IR have for it
  get then() {
    return Nodes;
  },
  get otherwise() {
    return Nodes.optional();
  },
});
const Match = z.strictObject({
  op: z.literal("match"),
  id: Id,
  value: Path,
  get cases() {
    return z.record(Name, Nodes);
  },
  get otherwise() {
    return Nodes.optional();
  },
});
const Each = z.strictObject({
  op: z.literal("each"),
  id: Key,
  items: Path,
  concurrency: z.int().min(1).max(1_000).optional(),
  onError: z.literal("collect").optional(),
  get nodes() {
    return Nodes;
  },
});
const Repeat = z.strictObject({
  op: z.literal("repeat"),
  id: Id,
  until: Comparison,
  maxTimes: Count,
  everyMs: Ms.optional(),
  get nodes() {
    return Nodes;
  },
});
const Node = z.discriminatedUnion("op", [Step, Parallel, Sleep, WaitFor, Approve, Call, When, Match, Each, Repeat]);
const Nodes: z.ZodType<ComposedNode[]> = z.lazy(() => z.array(Node).min(1).max(200)) as never;

export type ComposedStep = z.infer<typeof Step>;
export type ComposedNode =
  | ComposedStep
  | z.infer<typeof Parallel>
  | z.infer<typeof Sleep>
  | z.infer<typeof WaitFor>
  | z.infer<typeof Approve>
  | z.infer<typeof Call>
  | { op: "when"; id: string; if: Comparison; then: ComposedNode[]; otherwise?: ComposedNode[] }
  | { op: "match"; id: string; value: string; cases: Record<string, ComposedNode[]>; otherwise?: ComposedNode[] }
  | { op: "each"; id: string; items: string; concurrency?: number; onError?: "collect"; nodes: ComposedNode[] }
  | { op: "repeat"; id: string; until: Comparison; maxTimes: number; everyMs?: number; nodes: ComposedNode[] };
export type Mapping = z.infer<typeof Mapping>;

/** The part of JSON Schema that an input may be written in. */
const InputSchema: z.ZodType<JsonSchema> = z.lazy(() =>
  z.strictObject({
    type: z.enum(["object", "array", "string", "number", "integer", "boolean"]).optional(),
    properties: z.record(Key, InputSchema).optional(),
    required: z.array(Key).optional(),
    items: InputSchema.optional(),
    enum: z.array(z.string()).min(1).optional(),
    format: z.enum(["email", "uuid", "uri", "date", "date-time"]).optional(),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    minLength: z.int().optional(),
    maxLength: z.int().optional(),
    minItems: z.int().optional(),
    maxItems: z.int().optional(),
    description: z.string().optional(),
    sensitive: z.literal(true).optional(),
  }),
) as never;

export const Definition = z.strictObject({
  name: Name.regex(/^[a-z][a-z0-9-]*$/, "use lower-case letters, digits and -"),
  /** Of its own, or that of a procedure or a workflow. */
  input: z.union([
    z.strictObject({ schema: InputSchema }),
    z.strictObject({ procedure: Name }),
    z.strictObject({ workflow: Name }),
  ]),
  nodes: z.array(Node).min(1).max(200) as unknown as z.ZodType<ComposedNode[]>,
});
export type Definition = z.infer<typeof Definition>;

/** Why a value is not plain JSON of a moderate size, and where; undefined when it is. Looks at it without recursion. */
export function unfit(value: unknown): { path: string; message: string } | undefined {
  const pending: { value: unknown; path: string; depth: number }[] = [{ value, path: "", depth: 0 }];
  let count = 0;
  for (let one = pending.pop(); one !== undefined; one = pending.pop()) {
    const { value, path, depth } = one;
    count += 1;
    if (count > mostValues) return { path: "", message: `it has more than ${mostValues} values` };
    if (depth > deepest) return { path, message: `it is nested deeper than ${deepest}` };
    if (typeof value === "string" && value.length > longest) {
      return { path, message: `a text is longer than ${longest} characters` };
    }
    if (value === null || ["string", "boolean", "number"].includes(typeof value)) continue;
    if (typeof value !== "object") return { path, message: `a ${typeof value} is no JSON` };
    const prototype = Object.getPrototypeOf(value);
    if (!Array.isArray(value) && prototype !== Object.prototype && prototype !== null) {
      return { path, message: "an object of a class is no JSON" };
    }
    for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
      if (Array.isArray(value) && key === "length") continue;
      const inner = path === "" ? key : `${path}.${key}`;
      if (forbidden.has(key)) return { path: inner, message: `"${key}" is no name for a key` };
      if (!("value" in descriptor)) return { path: inner, message: "an accessor is no JSON" };
      pending.push({ value: descriptor.value, path: inner, depth: depth + 1 });
    }
  }
  return undefined;
}
