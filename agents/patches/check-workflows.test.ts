// `check` on folders: each problem is found where it is, and a clean app has none.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkWorkflows } from "./check-workflows.ts";

const root = fileURLToPath(new URL("../../tmp/", import.meta.url));
let folder: string;
beforeAll(async () => {
  await mkdir(root, { recursive: true });
  folder = await mkdtemp(join(root, "check-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const head = `import { event, procedure, workflow } from "../../../sdk/index.ts";
import { z } from "zod";
const empty = z.object({});
const declare = (name: string) => procedure({ name, input: empty, output: empty, handler: () => ({}) });
export const safe = procedure({ name: "safe", input: empty, output: empty, idempotent: true, handler: () => ({}) });
export const once = procedure({ name: "once", input: empty, output: empty, idempotent: false, handler: () => ({}) });
`;
const firstLine = head.split("\n").length;

let apps = 0;
async function check(files: Record<string, string>) {
  const app = join(folder, `app${++apps}`);
  await mkdir(app);
  for (const [name, text] of Object.entries(files)) await writeFile(join(app, name), text);
  const { workflows, problems } = await checkWorkflows(app);
  return {
    workflows,
    problems: problems.map(({ level, code, file, line }) => `${level} ${code} ${file}:${line}`),
    full: problems,
  };
}

test("an app whose source says what runs has no problem", async () => {
  const { workflows, problems } = await check({
    "a.ts": `${head}export const w = workflow("w").input(empty)
  .step(safe).withRetry({ maxAttempts: 2 })
  .when("x", () => true, (b) => b.sleep("s", { ms: 1 }));`,
  });
  expect(problems).toEqual([]);
  expect(workflows).toMatchObject([
    {
      name: "w",
      file: "a.ts",
      line: firstLine,
      nodes: [{ id: "safe", op: "step", line: firstLine + 1 }, { id: "x" }, { id: "s" }],
    },
  ]);
  expect(workflows[0]?.version).toMatch(/^[0-9a-f]{12}$/);
});

test("a chain that cannot be read is told with its reason, and what it is at run time", async () => {
  const { workflows, problems } = await check({
    "a.ts": `${head}export const w = workflow("w").input(empty).step(declare("made"));`,
  });
  expect(problems).toEqual([`warning dynamic a.ts:${firstLine}`]);
  expect(workflows).toMatchObject([
    { name: "w", nodes: [{ id: "made" }], dynamic: expect.stringContaining("declare") },
  ]);
});

test("what is something else at run time is an error", async () => {
  const { problems, full } = await check({
    "a.ts": `${head}export const w = workflow("w").input(empty).step(safe).sleep("s", { ms: 1 });
(w.ir as object as { nodes: unknown }) && Object.defineProperty(w, "ir", { value: { ...w.ir, nodes: [...w.ir.nodes.slice(0, 1)] } });`,
  });
  expect(problems).toEqual([`error ir_differs a.ts:${firstLine}`]);
  expect(full[0]?.message).toContain('"s"');
});

test("retries of what must not run twice, waits without end, long chains, one name twice and failing imports are found", async () => {
  const long = Array.from({ length: 61 }, (_, index) => `.sleep("s${index}", { ms: 1 })`).join("");
  const { problems, full } = await check({
    "a.ts": `${head}export const w = workflow("w").input(empty)
  .step(once).withRetry({ maxAttempts: 2 })
  .approve("boss");
export const long = workflow("long").input(empty)${long};`,
    "b.ts": `${head}export const w = workflow("w").input(empty).step(safe);`,
    "c.ts": `${head}export const c = workflow("c").input(empty).step(safe);\nthrow new Error("no database");`,
  });
  expect(problems).toEqual([
    `error retry_not_idempotent a.ts:${firstLine + 1}`,
    `note no_timeout a.ts:${firstLine + 2}`,
    `warning too_many_nodes a.ts:${firstLine + 3}`,
    `error duplicate_name b.ts:${firstLine}`,
    "error import_failed c.ts:1",
  ]);
  expect(full[3]?.message).toContain(`a.ts:${firstLine} and b.ts:${firstLine}`);
});
