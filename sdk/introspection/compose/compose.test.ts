// Compose: a definition becomes the IR that its printed source has, or problems; nothing of it is ever run as code.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../../digest.ts";
import { createRegistry } from "../../registry.ts";
import { composeWorkflow } from "./compose.ts";
import * as declarations from "./declarations.fixture.ts";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../../", import.meta.url));
const registry = createRegistry(Object.values(declarations));
const input = { schema: { type: "object", properties: { orderId: { type: "string" } }, required: ["orderId"] } };
const load = { op: "step", procedure: "loadOrder" };
const compose = (nodes: unknown[], more: object = {}) =>
  composeWorkflow({ name: "composed", input, nodes, ...more }, registry);
const problemsOf = (nodes: unknown[], more: object = {}) => {
  const composed = compose(nodes, more);
  return composed.ok ? [] : composed.problems;
};

const whole = [
  { ...load, retry: { maxAttempts: 3, backoff: "exponential" }, timeout: { ms: 500 }, cache: { ttlMs: 1000 } },
  { op: "parallel", procedures: ["reserve", "check"], retry: { maxAttempts: 2 } },
  {
    op: "step",
    procedure: "charge",
    as: "payment",
    with: { amount: "$.order.total", currency: { value: "EUR" } },
    rateLimit: { limit: 5, perMs: 1000 },
    circuitBreaker: { failures: 3, openMs: 1000 },
    compensate: { procedure: "refund", with: { chargeId: "$.payment.chargeId" } },
  },
  {
    op: "when",
    id: "is-large",
    if: { path: "$.order.total", op: "gt", value: 100 },
    // biome-ignore lint/suspicious/noThenProperty: the name in a definition
    then: [{ op: "approve", id: "manager", timeoutMs: 1000, onTimeout: "reject", onReject: "continue" }],
    otherwise: [{ op: "sleep", id: "cool-off", ms: 10 }],
  },
  {
    op: "match",
    id: "kind",
    value: "$.order.kind",
    cases: {
      gift: [{ op: "step", procedure: "sendEmail", with: { to: "$.order.email" } }],
      normal: [
        {
          op: "waitFor",
          id: "payment_seen",
          event: "paid",
          key: "$.orderId",
          timeoutMs: 5000,
          onTimeout: "continue",
        },
      ],
    },
  },
  {
    op: "each",
    id: "picked",
    items: "$.lines",
    concurrency: 2,
    onError: "collect",
    nodes: [{ op: "step", procedure: "pick", with: { sku: "$.item.sku" } }],
  },
  {
    op: "repeat",
    id: "poll",
    until: { path: "$.polled.status", op: "in", value: ["ready"] },
    maxTimes: 5,
    everyMs: 10,
    nodes: [{ op: "step", procedure: "check", as: "polled" }],
  },
  { op: "call", workflow: "archive", as: "archived", with: { orderId: "$.orderId" } },
];

test("the printed source compiles strictly, and its IR at run time is the one that was answered", async () => {
  await mkdir(join(root, "tmp"), { recursive: true });
  const folder = await mkdtemp(join(root, "tmp/compose-"));
  try {
    const composed = composeWorkflow({ name: "whole-order", input, nodes: whole }, registry, {
      importOf: (_kind, name) => ({ name, from: "../../sdk/introspection/compose/declarations.fixture.ts" }),
    });
    if (!composed.ok) throw new Error(JSON.stringify(composed.problems));
    const source = composed.source.replace('"@tsdev/sdk"', '"../../sdk/index.ts"');
    expect(source.split("\n").filter((line) => line.length > 120)).toEqual([]);
    const file = join(folder, "composed.ts");
    await writeFile(file, `${source}\nconsole.log(JSON.stringify(wholeOrder.ir));\n`);
    const flags =
      "--ignoreConfig --noEmit --strict --skipLibCheck --allowImportingTsExtensions --target es2024 --module nodenext --moduleResolution nodenext --types node";
    const compiler = join(root, "node_modules/typescript/bin/tsc");
    const { stdout: errors } = await run(process.execPath, [compiler, ...flags.split(" "), file]).catch(
      (failed: { stdout: string }) => failed,
    );
    expect(errors.split("\n").filter((line) => line.includes("composed.ts"))).toEqual([]);
    const { stdout } = await run(process.execPath, [file]);
    expect(canonicalJson(JSON.parse(stdout))).toBe(canonicalJson(composed.ir));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

describe("a definition is refused", () => {
  test.each([
    [
      "an unknown procedure, with the nearest",
      [{ op: "step", procedure: "loadOrdr" }],
      "unknown_name",
      "nodes.0.procedure",
      /"loadOrder"/,
    ],
    [
      "an event with a key of which none is named",
      [load, { op: "waitFor", id: "seen", event: "paid" }],
      "invalid_definition",
      "nodes.1",
      /`key`/,
    ],
    ["a key that nothing provides", [{ op: "step", procedure: "refund" }], "missing_key", "nodes.0", /map it/],
    [
      "a path into nothing",
      [load, { op: "step", procedure: "sendEmail", with: { to: "$.order.emial" } }],
      "missing_key",
      "nodes.1.with.to",
      /"email"/,
    ],
    [
      "a value of another type",
      [load, { op: "step", procedure: "sendEmail", with: { to: "$.order.total" } }],
      "type_mismatch",
      "nodes.1.with.to",
      /./,
    ],
    [
      "a literal that the contract refuses",
      [{ op: "step", procedure: "charge", with: { amount: { value: 1 }, currency: { value: "GBP" } } }],
      "type_mismatch",
      "nodes.0.with.currency",
      /./,
    ],
    [
      "a value that may be missing",
      [load, { op: "step", procedure: "sendEmail", with: { to: "$.order.note" } }],
      "type_mismatch",
      "nodes.1.with.to",
      /exists/,
    ],
    [
      "an input that is not there",
      [{ ...load, with: { orderId: "$.orderId", oderId: "$.orderId" } }],
      "unknown_name",
      "nodes.0.with.oderId",
      /"orderId"/,
    ],
    ["a key that is written twice", [load, { op: "approve", id: "order" }], "key_written_twice", "nodes.1.id", /as/],
    [
      "an id that is there twice",
      [
        { op: "sleep", id: "x", ms: 1 },
        { op: "sleep", id: "x", ms: 1 },
      ],
      "duplicate_id",
      "nodes.1.id",
      /another/,
    ],
    [
      "branches that touch what another writes",
      [{ op: "parallel", procedures: ["reserve", "countStock"] }],
      "parallel_hazard",
      "nodes.0",
      /follow/,
    ],
    [
      "a retry of what must not run twice",
      [
        {
          op: "step",
          procedure: "charge",
          with: { amount: { value: 1 }, currency: { value: "EUR" } },
          retry: { maxAttempts: 2 },
        },
      ],
      "unsafe_retry",
      "nodes.0.retry",
      /idempotencyKey/,
    ],
    [
      "cases that leave a value out",
      [load, { op: "match", id: "k", value: "$.order.kind", cases: { gift: [{ op: "sleep", id: "s", ms: 1 }] } }],
      "missing_key",
      "nodes.1",
      /otherwise/,
    ],
    [
      "a comparison with what it never is",
      [
        load,
        {
          op: "when",
          id: "w",
          if: { path: "$.order.kind", op: "eq", value: "gfit" },
          // biome-ignore lint/suspicious/noThenProperty: the name in a definition
          then: [{ op: "sleep", id: "s", ms: 1 }],
        },
      ],
      "type_mismatch",
      "nodes.1.if.value",
      /./,
    ],
    [
      "a key of one branch alone, read after it",
      [
        load,
        {
          op: "when",
          id: "w",
          if: { path: "$.order.total", op: "gt", value: 1 },
          // biome-ignore lint/suspicious/noThenProperty: the name in a definition
          then: [{ op: "step", procedure: "charge", with: { amount: "$.order.total", currency: { value: "EUR" } } }],
        },
        { op: "step", procedure: "refund" },
      ],
      "type_mismatch",
      "nodes.2",
      /exists/,
    ],
  ] as const)("for %s", (_what, nodes, code, path, fix) => {
    expect(problemsOf([...nodes])).toEqual([
      { code, path, message: expect.any(String), fix: expect.stringMatching(fix) },
    ]);
  });

  test("when it holds code, keys of prototypes, or more than anybody writes; and nothing of it runs or stays", () => {
    let deep: unknown = { op: "sleep", id: "s", ms: 1 };
    // biome-ignore lint/suspicious/noThenProperty: the name in a definition
    for (let level = 0; level < 100_000; level++) deep = { op: "when", then: [deep] };
    const circular: unknown[] = [];
    circular.push(circular);
    const attacks: unknown[] = [
      null,
      "process.exit(1)",
      () => process.exit(1),
      { name: "x", input, nodes: deep },
      { name: "x", input, nodes: circular },
      JSON.parse('{"name":"x","__proto__":{"polluted":1},"nodes":[]}'),
      { name: "x", input, nodes: [{ ...load, as: "__proto__" }] },
      { name: "x", input, nodes: [{ ...load, with: JSON.parse('{"__proto__":"$.orderId"}') }] },
      { name: "x", input, nodes: [{ ...load, with: { orderId: "$.constructor.constructor('return 1')()" } }] },
      { name: "x", input, nodes: [{ ...load, with: { orderId: "$.__proto__.polluted" } }] },
      { name: 'x");process.exit(1);("', input, nodes: [load] },
      { name: "x", input, nodes: [{ op: "run", id: "r", run: "process.exit(1)" }] },
      { name: "x", input, nodes: [{ ...load, as: "a b" }] },
      { name: "x", input, nodes: Array.from({ length: 30_000 }, () => load) },
      {
        get name() {
          throw new Error("an accessor ran");
        },
      },
      { name: "x", input: { schema: { type: "object", properties: { "a;process.exit(1)": {} } } }, nodes: [load] },
    ];
    for (const attack of attacks) {
      const composed = composeWorkflow(attack, registry);
      expect(composed.ok).toBe(false);
      for (const problem of composed.ok ? [] : composed.problems) expect(problem.fix).not.toBe("");
    }
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  test("text in a definition stays text in the source", () => {
    const nasty = "`$" + "{process.exit(1)}\"'\\\n\u2028*/";
    const composed = compose([{ op: "step", procedure: "sendEmail", with: { to: { value: nasty } } }]);
    expect(composed).toMatchObject({
      ok: true,
      source: expect.stringContaining(JSON.stringify(nasty).replace("\u2028", "\\u2028")),
    });
  });
});
