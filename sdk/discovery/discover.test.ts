// Discovery finds what an app exports, the same from source, from a build and in tests, and says what keeps it from that.
import { expect, test } from "vitest";
import { type AppFixture, appFixture, procedures } from "./app.fixture.ts";
import { discover } from "./discover.ts";

const imports = `import { procedure } from "SDK/procedures/procedure.ts";
import { workflow } from "SDK/workflows/workflow.ts";
import { event } from "SDK/workflows/event.ts";
import { z } from "zod";
`;
const shop = {
  "billing/charge.ts": procedures("charge", "refund"),
  "mail.ts": `${procedures("sendMail")}export default procedure({ name: "zip", input: z.object({}), output: z.object({}), handler: () => ({}) });\n`,
  "events.ts": `${imports}export const paid = event({ name: "paid", payload: z.object({ id: z.string() }) });\n`,
  "checkout.ts": `${imports}import { charge } from "./billing/charge.ts";
import { sendMail } from "./mail.ts";
const local = procedure({ name: "local", input: z.object({ id: z.string() }), output: z.object({ local: z.string() }), handler: ({ id }) => ({ local: id }) });
export const checkout = workflow("checkout").input(z.object({ id: z.string() })).step(charge).step(sendMail).step(local);\n`,
  "index.ts": `export * from "./checkout.ts";\nexport { charge as pay } from "./billing/charge.ts";\n`,
  // None of these may be imported.
  "effects.ts": `// import { procedure } from "@tsdev/sdk";\nthrow new Error("imported");\n`,
  "types.ts": `import type { procedure } from "SDK/procedures/procedure.ts";\nthrow new Error("imported");\n`,
  "charge.test.ts": `${procedures("charge")}throw new Error("imported");\n`,
  "node_modules/x/index.ts": procedures("charge"),
  "dist/charge.ts": procedures("charge"),
  ".cache/charge.ts": procedures("charge"),
  "charge.d.ts": procedures("charge"),
};
const main = `import { discover } from "SDK/discovery/discover.ts";
console.log("main runs");
const registry = await discover(new URL(".", import.meta.url));
console.log(JSON.stringify(Object.values(registry).map((map) => [...map.keys()])));
`;
const found = [["charge", "local", "refund", "sendMail", "zip"], ["checkout"], ["paid"], []];
const told = (stdout: string) => JSON.parse(stdout.split("\n")[1]!);

function failure(app: AppFixture, folder = ""): Promise<Error & { fix: string; path: string; cause: Error }> {
  return discover(`${app.folder}/${folder}`).then(
    () => Promise.reject(new Error("it found everything")),
    (error) => error,
  );
}

test("what is exported is found, the same from source, from a build and in a test", async () => {
  await using app = await appFixture({});
  const source = { ...shop, "main.ts": main };
  await app.write(Object.fromEntries(Object.entries(source).map(([path, text]) => [`src/${path}`, text])));
  await app.build(Object.fromEntries(Object.entries(source).filter(([path]) => !/dist|d\.ts/.test(path))), "dist");
  const registry = await discover(`${app.folder}/src`);
  expect(Object.values(registry).map((map) => [...map.keys()])).toEqual(found);
  const dev = await app.run("src/main.ts");
  expect(dev.stderr).toBe("");
  expect(told(dev.stdout)).toEqual(found);
  expect(dev.stdout.match(/main runs/g)).toHaveLength(1);
  expect(told((await app.run("dist/main.js")).stdout)).toEqual(found);
  expect(told((await app.run("dist/main.js", ["--enable-source-maps"])).stdout)).toEqual(found);
});

test("two of one name are an error that names both files and lines", async () => {
  await using app = await appFixture({ "a.ts": procedures("other", "same"), "deep/b.ts": procedures("same") });
  const error = await failure(app);
  expect(error).toMatchObject({ code: "duplicate_name" });
  expect(error.message).toMatch(/two procedures have the name "same": .*a\.ts:4 and .*deep\/b\.ts:3$/);
});

test("two that a factory makes are told apart by their exports", async () => {
  const factory = `${imports}export const make = (name: string) => procedure({ name, input: z.object({}), output: z.object({}), handler: () => ({}) });\n`;
  await using app = await appFixture({
    "make.ts": factory,
    "a.ts": `import { make } from "./make.ts";\nexport const first = make("same");\n`,
    "b.ts": `import { make } from "./make.ts";\nexport const second = make("same");\n`,
  });
  const found = discover(app.folder, { include: ["*.ts"] });
  await expect(found).rejects.toThrow(/a\.ts \(export first\) and .*b\.ts \(export second\)/);
});

test("a module that throws is an error with its name, the line and the cause", async () => {
  await using app = await appFixture({
    "good.ts": procedures("good"),
    "bad.ts": `${procedures("bad")}import { broken } from "./broken.ts";\nconsole.log(broken);\n`,
    "broken.ts": `export const broken = 1;\nthrow new RangeError("no such region");\n`,
  });
  const error = await failure(app);
  expect(error).toMatchObject({ code: "import_failed", path: expect.stringMatching(/bad\.ts$/) });
  expect(error.message).toMatch(/bad\.ts threw while it was imported, from .*broken\.ts \(line 2\): no such region$/);
  expect(error.cause).toBeInstanceOf(RangeError);
});

test("files that import each other are found, whichever of them comes first by name", async () => {
  // Each workflow needs its procedure at once; the procedure names the workflow only inside its handler.
  const eager = (name: string, from: string) =>
    `${imports}import { ${name}Step } from "./${from}";\nexport const ${name} = workflow("${name}").input(z.object({ id: z.string() })).step(${name}Step);\n`;
  const lazy = (name: string, from: string) =>
    `${imports}import { ${name} } from "./${from}";\nexport const ${name}Step = procedure({ name: "${name}Step", input: z.object({ id: z.string() }), output: z.object({}), handler: () => { void ${name}; return {}; } });\n`;
  await using app = await appFixture({
    "a-step.ts": lazy("b", "b-flow.ts"),
    "b-flow.ts": eager("b", "a-step.ts"),
    "c-flow.ts": eager("d", "d-step.ts"),
    "d-step.ts": lazy("d", "c-flow.ts"),
    // First by name, and leads into both circles.
    "a.ts": `${procedures("a")}import { bStep } from "./a-step.ts";\nimport { dStep } from "./d-step.ts";\nvoid [bStep, dStep];\n`,
    "main.ts": main,
  });
  const { stdout, stderr } = await app.run("main.ts");
  expect(stderr).toBe("");
  expect(told(stdout)).toEqual([["a", "bStep", "dStep"], ["b", "d"], [], []]);
});

test("a circle that no order can load is told as what it is", async () => {
  const flow = (own: string, other: string) =>
    `${imports}import { ${other} } from "./${other}.ts";\nexport const ${own} = procedure({ name: "${own}", input: z.object({}), output: z.object({}), handler: () => ({}) });\nexport const ${own}Flow = workflow("${own}").input(z.object({})).step(${other});\n`;
  await using app = await appFixture({ "one.ts": flow("one", "two"), "two.ts": flow("two", "one"), "main.ts": main });
  const inTest = await failure(app);
  expect(inTest).toMatchObject({ code: "import_failed", fix: expect.stringContaining("imports neither of them") });
  expect(inTest.message).toMatch(
    /files import each other, (\S*one\.ts → \S*two\.ts → \S*one\.ts|\S*two\.ts → \S*one\.ts → \S*two\.ts), and/,
  );
  const { stderr } = await app.run("main.ts");
  expect(stderr).toMatch(/files import each other, \S+ → \S+ → \S+, and `(one|two)` is used before it is there/);
});

test("a circle that leads back to the caller is told instead of hanging", async () => {
  await using app = await appFixture({
    "main.ts": `import "./registry.ts";\n`,
    "registry.ts": `import { discover } from "SDK/discovery/discover.ts";\nexport const registry = await discover(new URL(".", import.meta.url));\n`,
    "a.ts": `${procedures("a")}import { registry } from "./registry.ts";\nvoid registry;\n`,
  });
  const { code, stderr } = await app.run("main.ts");
  expect(code).toBe(13);
  expect(stderr).toContain("discover waits for a.ts, which imports a file that waits for discover");
});

test("1,000 procedures in 300 files are all found", async () => {
  const files: Record<string, string> = { "main.ts": main };
  let count = 0;
  for (let file = 0; file < 300; file++) {
    const size = file < 100 ? 4 : 3;
    files[`domain-${file % 20}/file-${file}.ts`] = procedures(...Array.from({ length: size }, () => `p${count++}`));
  }
  await using app = await appFixture(files);
  const { stdout } = await app.run("main.ts");
  expect(count).toBe(1_000);
  expect(told(stdout)[0]).toHaveLength(1_000);
});

test("a bundle's exports are found; one that exports nothing, or runs itself, is told how to", async () => {
  const bundle = procedures("charge");
  await using app = await appFixture({
    "exporting/app.js": `${bundle.replace("export const", "const")}export { charge as a };\n`,
    "silent/app.js": bundle.replace("export const", "const"),
    "whole/main.js": bundle.replace("export const", "const") + main,
  });
  const registry = await discover(`${app.folder}/exporting`);
  expect([...registry.procedures.keys()]).toEqual(["charge"]);
  const silent = await failure(app, "silent");
  expect(silent.message).toMatch(/silent\/app\.js declare procedures or workflows and export none$/);
  expect(silent.fix).toContain("output.preserveModules");
  const { stderr } = await app.run("whole/main.js");
  expect(stderr).toContain(
    "whole/main.js declares procedures or workflows, and it cannot be imported by discover while",
  );
});

test("a bundle with the SDK inside is found too", async () => {
  await using app = await appFixture({
    "src/charge.ts": procedures("charge"),
    "src/main.ts": main,
    "src/whole.ts": `import { charge } from "./charge.ts";\n${main}console.log(charge.name);\n`,
  });
  const { build } = await import("rolldown");
  await build({
    input: { app: `${app.folder}/src/charge.ts` },
    platform: "node",
    output: { dir: `${app.folder}/dist`, format: "esm", minify: true },
    logLevel: "silent",
  });
  await build({
    input: { whole: `${app.folder}/src/whole.ts` },
    platform: "node",
    output: { dir: `${app.folder}/one`, format: "esm", minify: true },
    logLevel: "silent",
  });
  expect((await app.run("one/whole.js")).stderr).toContain("whole.js declares procedures or workflows, and it cannot");
  await app.write({ "dist/main.js": main });
  expect(told((await app.run("dist/main.js")).stdout)[0]).toEqual(["charge"]);
  await build({
    input: { main: `${app.folder}/src/main.ts`, charge: `${app.folder}/src/charge.ts` },
    platform: "node",
    output: { dir: `${app.folder}/whole`, format: "esm", preserveModules: true },
    logLevel: "silent",
  });
  expect(told((await app.run("whole/main.js")).stdout)[0]).toEqual(["charge"]);
});

test("with a test's own import the registry has the objects that the test imports", async () => {
  await using app = await appFixture({ "charge.ts": procedures("charge") });
  const { charge } = await import(`${app.folder}/charge.ts`);
  const registry = await discover(app.folder, { import: (url) => import(url) });
  expect(registry.procedures.get("charge")).toBe(charge);
});

test("globs add files and leave files out", async () => {
  await using app = await appFixture({
    "make.ts": `${imports}export const make = (name: string) => procedure({ name, input: z.object({}), output: z.object({}), handler: () => ({}) });\n`,
    "made.ts": `import { make } from "./make.ts";\nexport const made = make("made");\n`,
    "old/charge.ts": procedures("charge"),
    "charge.ts": procedures("charge"),
  });
  const registry = await discover(app.folder, { include: ["made.ts"], exclude: ["old/**"] });
  expect([...registry.procedures.keys()]).toEqual(["charge", "made"]);
});

test("of a module and what a compiler put beside it, one is taken", async () => {
  await using app = await appFixture({ "a.ts": procedures("a"), "a.js": procedures("a"), "main.js": main });
  expect(told((await app.run("main.js")).stdout)[0]).toEqual(["a"]);
  expect((await discover(app.folder, { exclude: ["main.js"] })).procedures.get("a")?.source?.file).toMatch(/a\.ts$/);
});

test("objects of an app's own that look a little like declarations are none", async () => {
  await using app = await appFixture({
    "a.ts": `${procedures("a")}export const click = { kind: "event", name: "click" };\nexport const nothing = undefined;\n`,
  });
  const registry = await discover(app.folder);
  expect([...registry.events.keys()]).toEqual([]);
});

test("a folder that is not there is an error", async () => {
  await expect(discover("/nowhere/at/all")).rejects.toMatchObject({ code: "not_found" });
});
