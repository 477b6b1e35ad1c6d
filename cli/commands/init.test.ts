// init: what it writes into an empty folder, and how little into one with an app.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, expect, test } from "vitest";

const program = join(import.meta.dirname, "../tsdev.js");
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tsdev-init-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function init(dir: string) {
  const { stdout, stderr, exitCode } = await execa(process.execPath, [program, "init", dir, "--json"], {
    reject: false,
  });
  return { exitCode, stderr, said: stdout === "" ? undefined : JSON.parse(stdout) };
}
const files = async (dir: string) =>
  (await readdir(dir, { recursive: true, withFileTypes: true })).filter((one) => one.isFile()).length;

test("a folder that is not there, or holds a repository without a file, gets an app with the SDK packed beside it", async () => {
  const missing = join(folder, "deep/My Flow");
  const repository = join(folder, "repository");
  await execa("git", ["init", "--quiet", repository]);
  for (const dir of [missing, repository]) {
    const { exitCode, said } = await init(dir);
    expect(exitCode).toBe(0);
    expect(said.created).toEqual([
      ".gitignore",
      "src/greeting.test.ts",
      "src/greeting.ts",
      "src/main.ts",
      "tsconfig.json",
      "tsdev.config.ts",
      "package.json",
      "vendor/tsdev-sdk-0.1.0.tgz",
    ]);
    for (const file of said.created) expect((await readFile(join(dir, file))).length).toBeGreaterThan(10);
    const manifest = JSON.parse(await readFile(join(dir, "package.json"), "utf8"));
    expect(manifest.dependencies["@tsdev/sdk"]).toBe("file:vendor/tsdev-sdk-0.1.0.tgz");
    expect(Object.keys(manifest.scripts)).toEqual(["start", "dev", "test", "typecheck"]);
  }
  expect(JSON.parse(await readFile(join(missing, "package.json"), "utf8")).name).toBe("my-flow");
  expect(await files(missing)).toBe(8);
});

test("the app asks for the versions that the SDK is built and tested with", async () => {
  const read = async (path: string) => JSON.parse(await readFile(join(import.meta.dirname, path), "utf8"));
  const [app, root, sdk] = [
    await read("../init/app/package.json"),
    await read("../../package.json"),
    await read("../../sdk/package.json"),
  ];
  expect(app.dependencies).toEqual({ "@tsdev/sdk": sdk.version, zod: root.dependencies.zod });
  for (const [name, version] of Object.entries(app.devDependencies)) {
    expect(root.devDependencies[name], name).toBe(version);
  }
});

test("a folder with an app gets what is missing and nothing else, and a second time nothing", async () => {
  await mkdir(join(folder, "src"));
  await writeFile(join(folder, "src/main.ts"), "console.log(1);\n");
  const { said } = await init(folder);
  expect(said).toMatchObject({
    created: ["package.json", ".gitignore: node_modules/, .tsdev/"],
    detected: { packageManager: "npm", start: "node src/main.ts" },
  });
  expect(await files(folder)).toBe(3);
  expect(await readFile(join(folder, "src/main.ts"), "utf8")).toBe("console.log(1);\n");
  expect((await init(folder)).said.created).toEqual([]);
});

test("a folder with something else than an app, and a file, are refused with what to do", async () => {
  await writeFile(join(folder, "notes.txt"), "milk");
  const wrong = await init(folder);
  expect(wrong.exitCode).not.toBe(0);
  expect(wrong.stderr).toMatch(/start/);
  const file = await init(join(folder, "notes.txt"));
  expect(file.exitCode).not.toBe(0);
  expect(file.stderr).toMatch(/not there yet/);
  expect(await readdir(folder)).toEqual(["notes.txt"]);
});
