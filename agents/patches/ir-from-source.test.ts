// The IR as the source says it equals the IR at run time, for the workflows of this repository and for random ones.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { canonicalJson } from "../../sdk/digest.ts";
import type { AnyWorkflow } from "../../sdk/index.ts";
import { nodesOf } from "../../sdk/ir/ir.ts";
import { irFromSource, type SourceWorkflow } from "./ir-from-source.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
let folder: string;
// The shop refuses to be imported without one, and connects when it is asked for something.
process.env.DATABASE_URL ??= "postgres://nobody@127.0.0.1:1/nothing";
beforeAll(async () => {
  await mkdir(join(root, "tmp"), { recursive: true });
  folder = await mkdtemp(join(root, "tmp/ir-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const sdk = 'import { event, procedure, workflow } from "../../sdk/index.ts";\nimport { z } from "zod";\n';

describe("workflows of this repository", () => {
  test.each(["examples/shop/src", "examples/documents/src", "cli/init/app/src", "agents/patches/__fixtures__"])(
    "%s",
    async (path) => {
      const names = (await readdir(join(root, path))).filter((name) => name.endsWith(".ts"));
      const files = await Promise.all(
        names.map(async (name) => ({ path: `${path}/${name}`, text: await readFile(join(root, path, name), "utf8") })),
      );
      const found = irFromSource(files).filter(({ ir }) => ir !== undefined);
      expect(found.length).toBeGreaterThan(0);
      for (const one of found) {
        const module = (await import(pathToFileURL(join(root, one.file)).href)) as Record<string, AnyWorkflow>;
        expect(canonicalJson(one.ir), one.file).toBe(canonicalJson(module[one.constant ?? ""]?.ir));
      }
    },
  );

  test.each([
    "how-to/write-a-workflow.md",
    "how-to/serve-http.md",
    "how-to/call-from-a-client.md",
    "how-to/start-runs-by-triggers.md",
    "how-to/structure-an-app.md",
    "tutorial/durable-workflow.md",
  ])("docs/%s", async (page) => {
    const text = await readFile(join(root, "docs", page), "utf8");
    const source = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]).join("\n");
    for (const one of irFromSource([{ path: "page.ts", text: source }])) {
      expect(one.dynamic?.reason, one.constant ?? "").toBeUndefined();
      expect(nodesOf(one.ir as never).length).toBeGreaterThan(0);
    }
  });
});

test("names are found through imports, namespaces, defaults and re-exports of other files", () => {
  const declare = (name: string) => `procedure({ name: "${name}", input, output, handler })`;
  const [found] = irFromSource([
    {
      path: "src/a.ts",
      text: `${sdk}export const a = ${declare("proc-a")};\nconst own = ${declare("proc-own")};\nexport { own as other };`,
    },
    { path: "src/b.ts", text: `${sdk}export default ${declare("proc-b")};` },
    {
      path: "src/all.ts",
      text: 'export * from "./a.js";\nexport { default as b } from "./b.ts";\nexport * as deep from "./a.ts";',
    },
    {
      path: "src/w.ts",
      text: `${sdk}import def, { } from "./b.ts";\nimport * as all from "./all.ts";\nimport { a as renamed, other } from "./all.ts";
const minute = 60 * 1_000;
export const w = workflow("w").input(z.object({}))
  .step(renamed).step(other).step(def, { as: "x" }).step(all.b).step(all.deep.a, { as: "y" }).sleep("s", { ms: 2 * minute });`,
    },
  ]);
  expect(found?.dynamic).toBeUndefined();
  expect(found?.ir?.nodes.map((node) => ("procedure" in node ? node.procedure : node))).toEqual([
    "proc-a",
    "proc-own",
    "proc-b",
    "proc-b",
    "proc-a",
    { op: "sleep", id: "s", ms: 120_000 },
  ]);
});

const a = `${sdk}export const a = procedure({ name: "a", input: z.object({}), output: z.object({}), handler: () => ({}) });\n`;
test.each([
  ['export function make() { return workflow("w").input(i).step(a); }', "top-level"],
  ['const w = workflow("w").input(i).step(a); export { w };', "top-level"],
  ["export const w = workflow(name()).input(i).step(a);", "its name"],
  ['const base = workflow("w").input(i);\nexport const w = base.step(a);', "top-level"],
  ['import { b } from "elsewhere";\nexport const w = workflow("w").input(i).step(b);', "imported from elsewhere"],
  ['export const w = workflow("w").input(i).step(make());', "is not a constant"],
  ['export const w = workflow("w").input(i).step(a).withRetry({ ...options });', "a spread"],
  ['export const w = workflow("w").input(i).step(a).withRetry({ maxAttempts: tries() });', "not written as a literal"],
  ['export const w = workflow("w").input(i).when("x", p, body);', "not written in place"],
  ['export const w = workflow("w").input(i).when("x", p, (b) => other.step(a));', "does not begin with its parameter"],
  ['export const w = workflow("w").input(i).each("x", p, (a) => a.step(a));', "is not a constant"],
  ['export const w = workflow("w").input(i)["step"](a);', "computed"],
  ['export const w = workflow("w").input(i).parallel(list);', "not written in place"],
  ['let b = a;\nexport const w = workflow("w").input(i).step(b);', "is not a constant"],
  ['export const w = workflow("w").input(i).step(a, { with: maybe() });', "whether `with`"],
])("%s is dynamic, with the reason", (text, reason) => {
  const [found] = irFromSource([{ path: "w.ts", text: a + text }]) as [SourceWorkflow];
  expect(found.ir).toBeUndefined();
  expect(found.dynamic?.reason).toContain(reason);
});

test("a function of one's own with the name `workflow` is none of ours", () => {
  const text = `const workflow = (x) => x;\nexport const w = workflow("w");`;
  expect(irFromSource([{ path: "own.ts", text }])).toEqual([]);
});

describe("random workflows", () => {
  test.each([1, 2, 3, 4])("seed %i", async (seed) => {
    let state = seed;
    // mulberry32
    const random = () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
    };
    const chance = (share: number) => random() < share;
    const whole = (most: number) => 1 + Math.floor(random() * most);
    let ids = 0;
    const id = () => `"n${++ids}"`;
    const some = (...options: string[]) => `{ ${options.filter(() => chance(0.5)).join(", ")} }`;
    const modifiers = (step: boolean, keyed: boolean) =>
      [
        `.withRetry({ maxAttempts: ${whole(9)}, backoff: "fixed", on: ["any", "x"] })`,
        `.withTimeout({ ms: ${whole(9)} * 1_000 })`,
        `.withCache({ ttlMs: ${whole(9)}${keyed && chance(0.5) ? ', key: () => "k"' : ""} })`,
        `.withRateLimit({ limit: ${whole(9)}, perMs: 5${keyed && chance(0.5) ? ', key() { return "k"; }' : ""} })`,
        `.withCircuitBreaker({ failures: ${whole(5)}, openMs: 10 })`,
        ...(step ? [`.compensate(other, ${some("with: () => ({})")})`] : []),
      ]
        .filter(() => chance(0.3))
        .join("");
    const body = (depth: number) =>
      chance(0.5) ? `(b) => b${chain(depth)}` : `function (q) { return q${chain(depth)}; }`;
    const chain = (depth: number) => Array.from({ length: whole(3) }, () => node(depth)).join("");
    const node = (depth: number): string => {
      const leaves = [
        () =>
          `.step(ns.p, { as: ${id()}, ${chance(0.5) ? "with: () => ({})" : "with: undefined"} })${modifiers(true, true)}`,
        () => `.step(p)${chance(0.3) ? modifiers(true, true) : ""}.as(${id()})`,
        () => `.run(${id()}, async () => ({}))${modifiers(false, true)}${chance(0.3) ? `.as(${id()})` : ""}`,
        () => `.sleep(${id()}, ${chance(0.5) ? `{ ms: ${whole(99)} }` : "{ until: () => new Date(0) }"})`,
        () =>
          `.waitFor(${id()}, paid, { ${chance(0.5) ? "timeoutMs: 5, onTimeout: `continue`, " : ""}${chance(0.5) ? 'key: () => "k"' : ""} })`,
        () => `.approve(${id()}, ${some("timeoutMs: 5", 'onReject: "continue"')})`,
        () => `.call(child, { as: ${id()}${chance(0.5) ? ", with: () => ({})" : ""} })`,
      ];
      const holders = [
        () => `.when(${id()}, () => true, ${body(depth - 1)}${chance(0.5) ? `, ${body(depth - 1)}` : ""})`,
        () =>
          `.match(${id()}, () => "x", { x: ${body(depth - 1)}, 2: ${body(depth - 1)}, "1": ${body(depth - 1)} }${chance(0.5) ? ", (b) => b" : ""})`,
        () => `.each(${id()}, () => [], ${body(depth - 1)}, ${some(`concurrency: ${whole(9)}`, 'onError: "collect"')})`,
        () => `.repeat(${id()}, ${body(depth - 1)}, { until: () => true, maxTimes: ${whole(9)} })`,
      ];
      const kinds = depth > 0 ? [...leaves, ...holders, ...holders] : leaves;
      return `\n  ${(kinds[Math.floor(random() * kinds.length)] as () => string)()}`;
    };
    const parts = `${sdk}export const p = procedure({ name: "proc.p", input: z.object({}), output: z.object({}), handler: () => ({}) });
export const other = procedure({ name: "other", input: z.object({}), output: z.object({}), handler: () => ({}) });
export const paid = event({ name: "order.paid", payload: z.object({}), key: () => "k" });
export const child = workflow("the-child").input(z.object({})).step(other);\n`;
    const workflows = Array.from({ length: 25 }, (_, index) => {
      ids = 0;
      const options = chance(0.5)
        ? `, { concurrency: { limit: ${whole(5)}${chance(0.5) ? ', key: () => "k"' : ""} } }`
        : "";
      return `export const w${index} = workflow("w${index}"${options}).input(z.object({}))${chain(2)};`;
    });
    const path = (name: string) => `${relative(dirname(root), folder)}/${name}`;
    const files = [
      { path: path(`parts-${seed}.ts`), text: parts },
      {
        path: path(`flows-${seed}.ts`),
        text: `${sdk}import { child, other, p, paid } from "./parts-${seed}.ts";\nimport * as ns from "./parts-${seed}.ts";\n${workflows.join("\n")}\n`,
      },
    ];
    for (const { path: file, text } of files) await writeFile(join(dirname(root), file), text);
    const module = (await import(pathToFileURL(join(folder, `flows-${seed}.ts`)).href)) as Record<string, AnyWorkflow>;
    const found = irFromSource(files).filter(({ file }) => file.includes("flows"));
    expect(found).toHaveLength(25);
    for (const one of found) {
      expect(one.dynamic?.reason).toBeUndefined();
      expect(canonicalJson(one.ir)).toBe(canonicalJson(module[one.constant ?? ""]?.ir));
      expect([...one.lines.keys()].sort()).toEqual(
        nodesOf(one.ir as never)
          .map((each) => each.id)
          .sort(),
      );
    }
  });
});
