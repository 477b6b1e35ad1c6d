// What may import what: every folder only those below it, and nothing imports itself in a circle.
import { readFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { execa } from "execa";
import { parseSync } from "oxc-parser";
import { beforeAll, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");

/** What each folder may import besides itself; a path of two parts narrows its folder. Files of the root are composition. */
const allowed: Record<string, string[]> = {
  dashboard: ["client"],
  cli: ["client", "sdk"],
  // the contracts of operations, as types
  mcp: ["client", "sdk"],
  agents: ["analyzers", "platform", "sdk"],
  analyzers: ["platform/telemetry", "sdk"],
  platform: ["sdk"],
  // the one error type
  client: ["sdk/errors.ts"],
  sdk: [],
};

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

let imports: Import[];

beforeAll(async () => {
  const { stdout } = await execa("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts", "*.tsx"], {
    cwd: root,
  });
  const files = stdout.split("\n").filter((path) => path !== "" && !path.includes("__fixtures__/"));
  imports = (await Promise.all(files.map(importsOf))).flat();
});

async function importsOf(path: string): Promise<Import[]> {
  const text = await readFile(join(root, path), "utf8").catch(() => "");
  const { module, program } = parseSync(path, text);
  const found: Import[] = [];
  const add = (specifier: string | undefined, typeOnly: boolean) => {
    if (!specifier?.startsWith(".")) return;
    found.push({ from: path, to: relative(root, resolve(root, dirname(path), specifier)), typeOnly });
  };
  for (const one of module.staticImports) {
    // `import type …` and an import whose every name is a type leave nothing to run
    add(one.moduleRequest.value, one.entries.length > 0 && one.entries.every((entry) => entry.isType));
  }
  for (const one of module.staticExports) {
    for (const entry of one.entries) if (entry.moduleRequest) add(entry.moduleRequest.value, entry.isType);
  }
  for (const one of module.dynamicImports) {
    const written = text.slice(one.moduleRequest.start, one.moduleRequest.end);
    if (/^["'][^"']+["']$/.test(written)) add(written.slice(1, -1), false);
  }
  expect(program.type, path).toBe("Program");
  return found;
}

/** Tests may compose what they test. */
const isTest = (path: string) => /\.(test|fixture|contract)\.tsx?$/.test(path) || path.includes("fixture");
const folderOf = (path: string) => path.split("/")[0]!;

it("there are imports to look at in every folder", () => {
  expect(imports.length).toBeGreaterThan(300);
  for (const folder of Object.keys(allowed)) {
    expect(imports.filter((one) => folderOf(one.from) === folder).length, folder).toBeGreaterThan(0);
  }
});

it("a folder imports only what is below it, types included", () => {
  const wrong = imports.filter(({ from, to }) => {
    const mayImport = allowed[folderOf(from)];
    if (!mayImport || isTest(from) || folderOf(from) === folderOf(to)) return false;
    return !mayImport.some((part) => to === part || to.startsWith(`${part}/`));
  });
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

it("only what composes imports the composition", () => {
  const composing = ["test", "demo", "evals", "bench", "scripts", "docs"];
  const wrong = imports.filter(
    ({ from, to }) => !to.includes("/") && from.includes("/") && !composing.includes(folderOf(from)) && !isTest(from),
  );
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

it("apps import the SDK as a user does, and not by a path", () => {
  const wrong = imports.filter(
    ({ from, to }) => folderOf(from) === "examples" && folderOf(to) !== "examples" && !isTest(from),
  );
  expect(wrong.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

it("nothing imports itself in a circle", () => {
  const graph = Map.groupBy(
    imports.filter((one) => !one.typeOnly),
    (one) => one.from,
  );
  const state = new Map<string, "open" | "done">();
  const circles: string[] = [];
  const visit = (path: string, way: string[]) => {
    if (state.get(path) === "done") return;
    if (state.get(path) === "open") {
      circles.push([...way.slice(way.indexOf(path)), path].join(" > "));
      return;
    }
    state.set(path, "open");
    for (const { to } of graph.get(path) ?? []) visit(to, [...way, path]);
    state.set(path, "done");
  };
  for (const path of graph.keys()) visit(path, []);
  expect(circles).toEqual([]);
});
