// tsdev graph: what an app's folder declares, as people and scripts see it.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
let folder: string;

beforeAll(async () => {
  await mkdir(join(root, "tmp"), { recursive: true });
  folder = await mkdtemp(join(root, "tmp/graph-"));
  await mkdir(join(folder, "src"));
  await writeFile(
    join(folder, "src/hello.ts"),
    `import { z } from "zod";
import { procedure, workflow } from "../../../sdk/index.ts";
export const hello = procedure({ name: "hello", input: z.object({ name: z.string() }), output: z.object({ text: z.string() }), handler: ({ name }) => ({ text: name }) });
export const greet = workflow("greet").input(z.object({ name: z.string() })).step(hello);
setInterval(() => {}, 1_000);
`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const graph = (...args: string[]) =>
  run(process.execPath, [join(root, "cli/tsdev.js"), "graph", "--dir", folder, ...args]).then(
    ({ stdout }) => stdout,
    (failed: { stderr: string }) => failed.stderr,
  );

test("everything as JSON and as a table, one workflow as a flowchart, also of an app that would not end", async () => {
  const { procedures, workflows } = JSON.parse(await graph("--json"));
  expect(procedures[0]).toMatchObject({ name: "hello", source: "src/hello.ts:3" });
  expect(workflows[0]).toMatchObject({ name: "greet", nodes: { hello: { reads: ["name"], writes: ["text"] } } });
  expect(JSON.parse(await graph("greet", "--json"))).toEqual(workflows[0]);
  expect(await graph("greet")).toMatch(/^flowchart TD\n/);
  expect(await graph()).toContain("src/hello.ts:4");
});

test("an unknown workflow is named with those that are there", async () => {
  expect(JSON.parse(await graph("great", "--json"))).toMatchObject({
    error: { code: "not_found", fix: "known: greet" },
  });
});

test("a folder in the place of a workflow is told apart at once, and nothing of it is imported", async () => {
  expect(JSON.parse(await graph(folder, "--json"))).toMatchObject({
    error: { code: "invalid_input", fix: `tsdev graph --dir ${folder}` },
  });
});
