// Builds of real commits by real package managers: cached, failing, canceled, killed in the middle, and told nothing they must not know.
import { access, lstat, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { TsdevError } from "../../sdk/errors.ts";
import { identify, isAlive } from "../runtime/process-identity.ts";
import { type BuildsFixture, buildsFixture } from "./builds.fixture.ts";

let builds: BuildsFixture;
beforeAll(async () => {
  builds = await buildsFixture();
});
afterAll(async () => {
  await builds?.[Symbol.asyncDispose]();
});

const app = (more: object = {}) => ({
  name: "app",
  version: "1.0.0",
  scripts: { start: "node main.js" },
  ...more,
});
const dependencies = { ms: "2.1.3" };
const main = { "main.js": "require('ms')" };
const failure = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: TsdevError) => (error.toJSON ? error.toJSON() : Promise.reject(error)),
  );
const installed = (folder: string) =>
  access(join(folder, "node_modules/ms/package.json")).then(
    () => true,
    () => false,
  );

/** The lockfile that a package manager writes for a package.json. */
async function lockOf(manifest: object, file: string, command: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tsdev-lock-"));
  try {
    await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
    const [program = "", ...args] = command;
    await execa(program, args, { cwd: folder, env: { CI: "", YARN_ENABLE_IMMUTABLE_INSTALLS: "false" } });
    return await readFile(join(folder, file), "utf8");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
const npmLock = (manifest: object) =>
  lockOf(manifest, "package-lock.json", ["npm", "install", "--package-lock-only", "--no-audit"]);

describe("dependencies", () => {
  test("of one lockfile are installed once and linked the second time", async () => {
    const manifest = app({ dependencies });
    const lock = await npmLock(manifest);
    const first = await builds.build(
      await builds.commit({ "package.json": manifest, "package-lock.json": lock, ...main }),
    );
    expect(first.log).toContain("$ npm ci");
    const second = await builds.build(
      await builds.commit({ "package.json": manifest, "package-lock.json": lock, ...main, "b.js": "" }),
    );
    expect(second.log).not.toContain("npm ci");
    expect(second.log).toContain("from the cache");
    for (const { release } of [first, second]) expect(await installed(release.folder)).toBe(true);
  });

  test("that a build script writes into stay the others' as they were installed", async () => {
    const manifest = app({
      dependencies,
      scripts: { start: "node main.js", build: "echo changed > node_modules/ms/made" },
    });
    const lock = await npmLock(manifest);
    const files = { "package.json": manifest, "package-lock.json": lock };
    const one = await builds.build(await builds.commit(files));
    const plain = app({ dependencies });
    const other = await builds.build(
      await builds.commit({ "package.json": plain, "package-lock.json": lock, "c.js": "" }),
    );
    expect(await readFile(join(one.release.folder, "node_modules/ms/made"), "utf8")).toBe("changed\n");
    await expect(access(join(other.release.folder, "node_modules/ms/made"))).rejects.toThrow();
  });

  test("without a lockfile, and those of workspaces, are installed by themselves", async () => {
    const loose = await builds.build(await builds.commit({ "package.json": app({ dependencies }), ...main }));
    expect(loose.log).toContain("$ npm install");
    expect((await lstat(join(loose.release.folder, "node_modules"))).isSymbolicLink()).toBe(false);
    expect(await installed(loose.release.folder)).toBe(true);

    const manifest = app({ dependencies, workspaces: ["packages/*"] });
    const part = { "packages/part/package.json": { name: "part", version: "1.0.0" } };
    const { release } = await builds.build(await builds.commit({ "package.json": manifest, ...part }));
    expect((await lstat(join(release.folder, "node_modules"))).isSymbolicLink()).toBe(false);
  });

  test.each([
    ["pnpm 10", "pnpm@10.18.0", "pnpm-lock.yaml", ["npx", "--yes", "pnpm@10.18.0", "install", "--lockfile-only"]],
    ["yarn 1", "yarn@1.22.22", "yarn.lock", ["npx", "--yes", "yarn@1.22.22", "install"]],
    [
      "yarn 4",
      "yarn@4.9.2",
      "yarn.lock",
      ["npx", "--yes", "@yarnpkg/cli-dist@4.9.2", "install", "--mode=update-lockfile"],
    ],
  ])(
    "of %s are installed as its lockfile says, and its build script is run",
    { timeout: 180_000 },
    async (_, packageManager, file, command) => {
      const manifest = app({
        dependencies,
        packageManager,
        scripts: { start: "node main.js", build: "node -e \"require('ms')\"" },
      });
      const lock = await lockOf(manifest, file, command);
      const { release } = await builds.build(await builds.commit({ "package.json": manifest, [file]: lock, ...main }));
      expect(await installed(release.folder)).toBe(true);
    },
  );
});

describe("a build that fails says why, and leaves nothing", () => {
  test("where the build script fails: its last lines", async () => {
    const build = "node -e \"for (let i = 0; i < 50; i++) console.log('line ' + i); process.exit(3)\"";
    const commit = await builds.commit({ "package.json": app({ scripts: { start: "x", build } }) });
    const error = await failure(builds.build(commit));
    expect(error).toMatchObject({ code: "build_failed", message: expect.stringContaining("line 49") });
    expect(error?.message).not.toContain("line 10\n");
    await expect(access(join(builds.directory, "releases", builds.project.id, commit))).rejects.toThrow();
  });

  test.each([
    ["no package.json", {}, "not_deployable", /no package.json/],
    ["a package.json that is no JSON", { "package.json": "{" }, "not_deployable", /not JSON/],
    ["no start script", { "package.json": { name: "a" } }, "not_deployable", /start/],
    [
      "a misspelled key in package.json",
      { "package.json": app({ tsdev: { databse: "postgres" } }) },
      "invalid_config",
      /package\.json.*databse/,
    ],
    [
      "a misspelled key in tsdev.config.js",
      { "package.json": app({ type: "module" }), "tsdev.config.js": "export default { replay: { exlude: [] } };" },
      "invalid_config",
      /tsdev\.config\.js.*replay\.exlude/,
    ],
    [
      "a configuration that throws",
      { "package.json": app(), "tsdev.config.mjs": "throw new RangeError('out of range');" },
      "invalid_config",
      /tsdev\.config\.mjs: RangeError: out of range/,
    ],
    [
      "a configuration that exits",
      { "package.json": app(), "tsdev.config.mjs": "process.exit(0);" },
      "invalid_config",
      /tsdev\.config\.mjs.*exits/,
    ],
    [
      "a configuration that exports nothing",
      { "package.json": app(), "tsdev.config.mjs": "console.log(1);" },
      "invalid_config",
      /tsdev\.config\.mjs/,
    ],
  ])("where there is %s", async (_, files, code, message) => {
    const error = await failure(
      builds.build(await builds.commit({ "readme.md": "x", ...(files as Record<string, string>) })),
    );
    expect(error).toMatchObject({ code, message: expect.stringMatching(message), fix: expect.any(String) });
  });
});

test("a canceled build ends with every process of its group", async () => {
  const build = "node -e \"console.log('pid ' + process.pid); setInterval(() => {}, 1000)\" & wait";
  const commit = await builds.commit({ "package.json": app({ scripts: { start: "x", build } }) });
  const abort = new AbortController();
  const pid = Promise.withResolvers<number>();
  const result = failure(
    builds.build(commit, abort.signal, (text) => text.startsWith("pid ") && pid.resolve(Number(text.slice(4)))),
  );
  const child = await Promise.race([
    pid.promise,
    result.then((error) => Promise.reject(new Error(JSON.stringify(error)))),
  ]);
  const identity = identify(child)!;
  abort.abort();
  expect(await result).toMatchObject({ code: "canceled" });
  await vi.waitFor(() => expect(isAlive(identity)).toBe(false));
});

describe("one commit is one release", () => {
  const rows = (commit: string) => builds.db.selectFrom("releases").select("id").where("commit", "=", commit).execute();

  test("built twice, and twice at once", async () => {
    const commit = await builds.commit({ "package.json": app() });
    const ids = (await Promise.all([builds.build(commit), builds.build(commit)])).map(({ release }) => release.id);
    ids.push((await builds.build(commit)).release.id);
    expect(new Set(ids).size).toBe(1);
    expect(await rows(commit)).toHaveLength(1);
  });

  test("when the control plane was killed between the folder and the row", async () => {
    const commit = await builds.commit({ "package.json": app() });
    const { release } = await builds.build(commit);
    await builds.db.deleteFrom("releases").where("id", "=", release.id).execute();
    const again = await builds.build(commit);
    expect(again.log).toBe("");
    expect(again.release.folder).toBe(release.folder);
    expect(await rows(commit)).toHaveLength(1);
  });
});

test("a build script sees nothing of the control plane's environment", async () => {
  const added = {
    STRIPE_KEY: "sk_live_not_for_builds",
    DATABASE_URL: "postgres://x",
    npm_config_omit: "dev",
    npm_config_global: "true",
    npm_package_name: "outer",
    NODE_OPTIONS: "--no-warnings",
  };
  Object.assign(process.env, added);
  try {
    const build = "node -e \"require('fs').writeFileSync('env.json', JSON.stringify(process.env))\"";
    const manifest = app({ devDependencies: dependencies, scripts: { start: "x", build } });
    const { release } = await builds.build(
      await builds.commit({ "package.json": manifest, "package-lock.json": await npmLockClean(manifest) }),
    );
    const env = JSON.parse(await readFile(join(release.folder, "env.json"), "utf8")) as Record<string, string>;
    expect(JSON.stringify(env)).not.toContain("sk_live_not_for_builds");
    for (const name of ["DATABASE_URL", "npm_config_omit", "npm_config_global", "NODE_OPTIONS"])
      expect(env[name]).toBeUndefined();
    expect(env.npm_package_name).toBe("app");
    // npm_config_omit of an outer npm would have left it out
    expect(await installed(release.folder)).toBe(true);
  } finally {
    for (const name of Object.keys(added)) delete process.env[name];
  }
});

/** Written by an npm that does not see what the test sets. */
async function npmLockClean(manifest: object): Promise<string> {
  const kept = { ...process.env };
  for (const name of ["npm_config_omit", "npm_config_global", "NODE_OPTIONS"]) delete process.env[name];
  try {
    return await npmLock(manifest);
  } finally {
    Object.assign(process.env, kept);
  }
}
