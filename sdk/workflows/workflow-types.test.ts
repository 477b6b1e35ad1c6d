// The compiler on real files: the sentences it shows for misuse, and the price of a chain of 60 steps.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const temporary = fileURLToPath(new URL("../../tmp/", import.meta.url));
const compiler = fileURLToPath(new URL("../../node_modules/typescript/bin/tsc", import.meta.url));
// In the repository, so that dependencies are found, where neither git nor the type check looks.
let folder: string;

beforeAll(async () => {
  await mkdir(temporary, { recursive: true });
  folder = await mkdtemp(join(temporary, "types-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const header = `import { z } from "zod";
import { procedure } from "../../sdk/procedures/procedure.ts";
import { event } from "../../sdk/workflows/event.ts";
import { workflow } from "../../sdk/workflows/workflow.ts";
`;
const declare = (name: string, input: string, output: string) =>
  `const ${name} = procedure({ name: "${name}", input: z.object({ ${input} }), output: z.object({ ${output} }), handler: async () => null as never });\n`;

async function compile(name: string, source: string): Promise<{ errors: string; instantiations: number }> {
  const file = join(folder, name);
  await writeFile(file, header + source);
  const options = [
    "--noEmit --strict --skipLibCheck --extendedDiagnostics --allowImportingTsExtensions --erasableSyntaxOnly",
    "--target es2024 --module nodenext --moduleResolution nodenext --types node",
  ].flatMap((line) => line.split(" "));
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, [compiler, ...options, "--ignoreConfig", file], { maxBuffer: 1e7 }, (_error, out) =>
      resolve(out),
    );
  });
  const number = (label: string) => Number(new RegExp(`${label}:\\s+([\\d.]+)`).exec(output)?.[1]);
  const errors = output.split("\n").filter((line) => line.includes("error TS") || line.startsWith("  "));
  return { errors: errors.join("\n"), instantiations: number("Instantiations") };
}

describe("the types of a workflow", () => {
  const steps =
    declare("validate", "id: z.string()", "email: z.string()") +
    declare("mail", "email: z.string()", "mailed: z.boolean()") +
    declare("again", "email: z.string()", "mailed: z.boolean()") +
    declare("audit", "id: z.string()", "audited: z.boolean()") +
    declare("numeric", "id: z.number()", "done: z.boolean()") +
    `const child = workflow("child").input(z.object({ email: z.string() })).step(mail);
const size = procedure({ name: "size", input: z.object({ id: z.string() }), output: z.number(), handler: async () => 1 });
const paid = event({ name: "paid", payload: z.object({}) });
const about = event({ name: "about", payload: z.object({ id: z.string() }), key: ({ id }) => id });
const start = workflow("w").input(z.object({ id: z.string(), kind: z.enum(["big", "small"]) }));\n`;

  const misuses = [
    ["start.step(mail);", "step 'mail' needs 'email', which neither the input nor an earlier step provides"],
    [
      "start.step(numeric);",
      "step 'numeric' reads 'id', which the scope holds as another type (held: string; wanted: number)",
    ],
    ["start.step(validate).step(validate);", "'validate' is already the id of a node in this workflow"],
    ["start.step(validate).step(mail).step(again);", "step 'again' writes 'mailed', which the scope already has"],
    ["start.step(validate).parallel([mail, again]);", "two parallel branches write 'mailed'"],
    ["start.parallel([validate, mail]);", "step 'mail' needs 'email'"],
    ['start.step(validate).run("again", async () => ({ id: 1 }));', "step 'again' writes 'id'"],
    [
      'start.match("m", ({ kind }) => kind, { big: (b) => b.step(validate) });',
      "the value may be 'small', which has no case: add it, or a branch for all others",
    ],
    [
      'start.match("m", ({ kind }) => kind, { big: (b) => b, small: (b) => b, huge: (b) => b });',
      "the value is never 'huge'",
    ],
    [
      'start.match("m", ({ id }) => id, { big: (b) => b.step(validate) });',
      "the value may be any text: give a branch for all others",
    ],
    [
      'start.match("m", ({ kind }) => kind, { big: (b) => b.step(validate), small: (b) => b.step(validate) });',
      "'validate' is the id of nodes in two cases",
    ],
    [
      'start.when("w", () => true, (then) => then.step(validate)).step(mail);',
      "step 'mail' reads 'email', which the scope holds as another type (held: string or undefined; wanted: string)",
    ],
    ["start.call(child);", "workflow 'child' needs 'email'"],
    ["start.step(validate).compensate(numeric);", "compensation 'numeric' reads 'id'"],
    ['start.waitFor("id", paid);', "'id' adds the key 'id', which the scope already has"],
    ["start.parallel([validate, audit]).compensate(mail);", "Property 'compensate' does not exist"],
    ['start.waitFor("p", about);', "event 'about' has a key: say which one is meant with { key: (scope) => … }"],
    ['start.waitFor("p", about, { timeoutMs: 5 });', "Property 'key' is missing"],
    ['start.waitFor("p", paid, { key: ({ id }) => id });', "event 'paid' has no key: give it one where it is declared"],
    ['start.run("five", () => 5).step(validate);', "the output of 'five' is no object, so it has no keys to add"],
    [
      "start.step(size).step(validate);",
      "the output of 'size' is no object, so it has no keys to add: name it with .as",
    ],
    ["start.parallel([validate, size]);", "the output of 'size' is no object"],
    ['start.when("n", () => true, (then) => then.step(size));', "the output of 'size' is no object"],
    [
      "start.step(validate).step(mail, { with: () => ({ email: 5 }) });",
      "Type 'number' is not assignable to type 'string'",
    ],
    ["start.call(child, { with: () => ({ email: 5 }) });", "Type 'number' is not assignable to type 'string'"],
    ['start.step(mail, { as: "m" });', "Property 'with' is missing"],
    ['start.step(validate).step(validate, { as: "id" });', "step 'validate' writes 'id', which the scope already has"],
    ['start.each("e", ({ id }) => id, (q) => q.step(validate));', "the items are a text: give a list"],
    ['start.sleep("s", { ms: 1 }).withRetry({ maxAttempts: 2 });', "Property 'withRetry' does not exist"],
    [
      'workflow("k", { concurrency: { limit: 1, key: (input: { tenant: string }) => input.tenant } }).input(z.object({}));',
      "the key of `concurrency` reads what this input does not have",
    ],
  ] as const;

  test("each misuse is a sentence on its own line", async () => {
    // One compilation for all: the compiler's start is what costs.
    const { errors } = await compile("misuse.ts", steps + misuses.map(([line]) => line).join("\n"));
    const first = (header + steps).split("\n").length;
    for (const [index, [line, sentence]] of misuses.entries()) {
      const of = errors.slice(errors.indexOf(`misuse.ts(${first + index},`)).split(/\n(?=\S)/)[0];
      expect(of, line).toContain(sentence);
    }
  });

  test("a chain of 60 steps compiles within its budget of instantiations", async () => {
    const names = Array.from({ length: 60 }, (_, index) => `s${index}`);
    const declarations = names.map((name, index) =>
      declare(name, index === 0 ? "id: z.string()" : `k${index - 1}: z.string()`, `k${index}: z.string()`),
    );
    const chain = `export const w = workflow("w").input(z.object({ id: z.string() }))${names.map((n) => `.step(${n})`).join("")};\n`;
    const base = await compile("without.ts", declarations.join(""));
    const whole = await compile("with.ts", declarations.join("") + chain);
    expect(whole.errors).toBe("");
    expect(whole.instantiations - base.instantiations).toBeLessThan(80_000);
  });

  test("every node, each inside one inside another, compiles within its budget of instantiations", async () => {
    const parts = ["a", "b", "c", "d", "e", "f"]
      .map((n) => declare(n, "id: z.string()", `${n}Of: z.string()`))
      .join("");
    const common = `${parts}const paid = event({ name: "paid", payload: z.object({ id: z.string() }), key: ({ id }) => id });
const child = workflow("child").input(z.object({ id: z.string() })).step(a);
const begin = workflow("mixed").input(z.object({ id: z.string(), kind: z.enum(["x", "y"]), items: z.array(z.string()) }));\n`;
    const leaves = (n: string) => `.step(a, { as: "${n}1" }).withRetry({ maxAttempts: 2 }).compensate(f)
      .run("${n}2", ({ id }) => ({ ${n}Own: id.length })).sleep("${n}3", { ms: 1 })
      .waitFor("${n}4", paid, { key: ({ id }) => id }).approve("${n}5").call(child, { as: "${n}6" })`;
    const holders = [
      (n: string, inside: string) =>
        `.when("${n}", ({ id }) => id === "", (q) => q${inside}, (q) => q.step(b, { as: "${n}else" }))`,
      (n: string, inside: string) =>
        `.match("${n}", ({ kind }) => kind, { x: (q) => q${inside}, y: (q) => q.step(c, { as: "${n}y" }) })`,
      (n: string, inside: string) => `.each("${n}", ({ items }) => items, (q) => q${inside}, { concurrency: 2 })`,
      (n: string, inside: string) =>
        `.repeat("${n}", (q) => q${inside}, { until: ({ id }) => id === "", maxTimes: 3 })`,
    ];
    const chain = holders
      .map((outer, i) => outer(`o${i}`, holders.map((inner, j) => inner(`o${i}i${j}`, leaves(`n${i}${j}`))).join("\n")))
      .join("\n");
    const base = await compile("without-mixed.ts", common);
    const whole = await compile("mixed.ts", `${common}export const w = begin${chain}.parallel([d, e]);\n`);
    expect(whole.errors).toBe("");
    expect(whole.instantiations - base.instantiations).toBeLessThan(250_000);
  });
});
