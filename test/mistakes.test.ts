// What a new user gets wrong, in an app, with git, with a token, on the command line: one clear message with a fix each,
// and the platform goes on: another app answers all the while, and the next good push is deployed.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Deployment } from "../platform/deployments/deployment.ts";
import type { ErrorShape } from "../sdk/errors.ts";
import { AppRepository, type Files } from "./app-repository.fixture.ts";
import { ask, endAndRemove, PlatformProcess, run, type Said, temporaryFolder, tsdev } from "./platform.fixture.ts";
import { type RequestLoop, startRequestLoop } from "./request-loop.fixture.ts";

// generous, for a machine that is busy with other things
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

let folder: string;
let data: string;
let platform: PlatformProcess;
let witness: RequestLoop;
let app: AppRepository;
let git: string;
let good: string;
let version = 0;

beforeAll(async () => {
  folder = await temporaryFolder("mistakes");
  data = join(folder, "data");
  platform = await PlatformProcess.start(data);
  const other = await AppRepository.from("naive-app", join(folder, "witness"));
  await other.commit({ version: "1" });
  const { git: remote } = await platform.project("witness");
  await other.push(remote, platform.address.token);
  expect(await platform.settled("witness", () => true)).toMatchObject({ status: "live" });
  witness = startRequestLoop(platform.address.url, "naive.witness.localhost", 10);

  app = await AppRepository.from("naive-app", join(folder, "app"));
  ({ git } = await platform.project("app"));
  good = await app.commit({ version: "0" });
  await deployGood();
}, 180_000);

afterAll(async () => {
  await witness?.stop();
  expect(witness.failures).toEqual([]);
  await endAndRemove(data, platform);
  await endAndRemove(folder, undefined);
}, 120_000);

async function pushed(files: Files): Promise<Deployment> {
  const commit = await app.commit(files);
  const { code, stderr } = await app.push(git, platform.address.token);
  expect(code, stderr).toBe(0);
  return platform.settled("app", (one) => one.commit === commit);
}

const served = async () => JSON.parse((await ask(platform.address.url, "naive.app.localhost")).body);

async function deployGood(): Promise<void> {
  await app.restore(good);
  version++;
  expect(await pushed({ version: `${version}` })).toMatchObject({ status: "live" });
  expect(await served()).toMatchObject({ version: `${version}` });
}

/** The reason that the command line, the API and the build log show alike. */
async function refused(files: Files, reason: { code: string; message: RegExp; fix: RegExp }): Promise<void> {
  const failed = await pushed(files);
  expect(failed.status).toBe("failed");
  expectError(failed.reason, reason);
  const log: string[] = [];
  await platform.client.call("deployments.wait", { deployment: failed.id }, { progress: (line) => log.push(line) });
  expect(log.at(-1)).toContain(failed.reason!.fix);
  // what was live stays live, and the platform has not taken harm
  expect(await served()).toMatchObject({ version: `${version}` });
  await deployGood();
}

function expectError(error: ErrorShape | null, wanted: { code: string; message: RegExp; fix: RegExp }): void {
  expect(error).toMatchObject({
    code: wanted.code,
    message: expect.stringMatching(wanted.message),
    fix: expect.stringMatching(wanted.fix),
  });
  // never a stack trace of ours
  expect(error!.message).not.toMatch(/at .*\/(platform|sdk|cli)\//);
}

const packageJson = (changes: object) =>
  JSON.stringify({ name: "naive", type: "module", scripts: { start: "node server.mjs" }, ...changes });

describe("an app", () => {
  test("whose build script fails", () =>
    refused(
      {
        "package.json": packageJson({
          scripts: { start: "node server.mjs", build: "echo 'src/a.ts(3,1): wrong type' && exit 1" },
        }),
      },
      {
        code: "build_failed",
        message: /build script exited with 1:[\s\S]*src\/a\.ts\(3,1\): wrong type/,
        fix: /npm run build/,
      },
    ));

  test("whose lockfile does not fit its package.json", () =>
    refused(
      {
        "package.json": packageJson({ dependencies: { hono: "4.13.19" } }),
        "package-lock.json": JSON.stringify({ name: "naive", lockfileVersion: 3, packages: { "": { name: "naive" } } }),
      },
      { code: "build_failed", message: /in sync/, fix: /npm install.*package-lock\.json/ },
    ));

  test("without a package.json", () =>
    refused({ "package.json": null }, { code: "not_deployable", message: /no package\.json/, fix: /npx tsdev init/ }));

  test("whose package.json is not JSON", () =>
    refused(
      { "package.json": "{ name: 1" },
      { code: "not_deployable", message: /package\.json is not JSON/, fix: /push again/ },
    ));

  test("without a start script", () =>
    refused(
      { "package.json": packageJson({ scripts: {} }) },
      { code: "not_deployable", message: /no start script/, fix: /add "start"/ },
    ));

  test("that listens on a port of its own choice", () =>
    refused(
      { "server.mjs": `import { createServer } from "node:http";\ncreateServer().listen(0, "127.0.0.1");\n` },
      { code: "wrong_port", message: /listens on port \d+, not on PORT/, fix: /process\.env\.PORT/ },
    ));

  test("that crashes at its start", () =>
    refused(
      { "server.mjs": `throw new Error("no configuration for the mailer");\n` },
      { code: "crashed", message: /exited with code 1[\s\S]*no configuration for the mailer/, fix: /start command/ },
    ));

  test("that imports what it does not depend on", () =>
    refused(
      { "server.mjs": `import "left-out";\n` },
      { code: "crashed", message: /Cannot find package 'left-out'/, fix: /add `left-out` to the dependencies/ },
    ));

  test("that never listens", () =>
    refused(
      {
        "package.json": packageJson({ tsdev: { healthTimeoutSeconds: 2 } }),
        "server.mjs": `console.log("thinking");\nsetInterval(() => {}, 1000);\n`,
      },
      {
        code: "unhealthy",
        message: /not healthy within 2 s: nothing listens[\s\S]*thinking/,
        fix: /process\.env\.PORT/,
      },
    ));

  test("whose tsdev.config.ts has a syntax error", () =>
    refused(
      { "tsdev.config.ts": "export default { health: ;\n" },
      {
        code: "invalid_config",
        message: /tsdev\.config\.ts.*Error/,
        fix: /node tsdev\.config\.ts/,
      },
    ));

  test("whose tsdev.config.ts has an unknown key", () =>
    refused(
      { "tsdev.config.ts": `export default { helth: "/" };\n` },
      { code: "invalid_config", message: /unknown key "helth"/, fix: /did you mean "health"/ },
    ));
});

describe("git", () => {
  test("a push to a branch that no environment follows says that nothing is deployed, and what would be", async () => {
    const { code, stderr } = await app.push(git, platform.address.token, "HEAD:refs/heads/topic");
    expect(code).toBe(0);
    expect(stderr).toMatch(/no environment of app follows the branch topic, so nothing is deployed.*main/);
    const list = await platform.deployments("app");
    await deployGood();
    expect(await platform.deployments("app")).toHaveLength(list.length + 1);
  });

  test("a push of a branch that does not exist is refused by git, and the platform has no part in it", async () => {
    const { code, stderr } = await app.push(git, platform.address.token, "nosuchbranch");
    expect(code).toBe(1);
    expect(stderr).toMatch(/src refspec nosuchbranch does not match any/);
  });

  test("a push to a project that does not exist says how one is made", async () => {
    const { code, stderr } = await app.push(git.replace("app.git", "other.git"), platform.address.token);
    expect(code).toBe(128);
    expect(stderr).toMatch(/no project "other" here; make it with `tsdev deploy`/);
  });

  test("a bad token is told as one", async () => {
    const { code, stderr } = await app.push(git, "tsd_wrong");
    expect(code).toBe(128);
    expect(stderr).toMatch(/token is not known[\s\S]*as the password|Authentication failed/);
  });
});

describe("a bad token", () => {
  test("over HTTP", async () => {
    const headers = { authorization: "Bearer tsd_wrong" };
    const response = await fetch(`${platform.address.url}/api/v1/projects/list`, { headers });
    expect(response.status).toBe(401);
    const { error } = (await response.json()) as { error: ErrorShape };
    expectError(error, { code: "unauthenticated", message: /not known/, fix: /owner-token/ });
  });

  test("on the command line", async () => {
    const env = { TSDEV_URL: platform.address.url, TSDEV_TOKEN: "tsd_wrong" };
    const said = await tsdev(["deployments", "--project", "app"], { env });
    expect(said).toMatchObject({ code: 1, stdout: "" });
    expect(said.stderr).toMatch(/^error unauthenticated: .*not known.*\n {2}fix: .+\n$/);
    expectJsonError(await tsdev(["deployments", "--project", "app", "--json"], { env }), "unauthenticated");
  });
});

/** With --json: the shape on stderr, nothing on stdout, exit code 1. */
function expectJsonError(said: Said, code: string): ErrorShape {
  expect(said).toMatchObject({ code: 1, stdout: "" });
  const { error } = JSON.parse(said.stderr.trim().split("\n").at(-1)!) as { error: ErrorShape };
  expect(Object.keys(error).filter((key) => key !== "path")).toEqual(["code", "message", "fix"]);
  expect(error.code).toBe(code);
  return error;
}

describe("the command line", () => {
  const cli = (args: string[], cwd = app.folder) => tsdev([...args, "--data", data], { cwd });

  test.each([
    [["deploy", "--nosuchflag"], /unknown option '--nosuchflag'/],
    [["nosuchcommand"], /unknown command 'nosuchcommand'/],
    [["scale"], /required option '--replicas/],
    [["scale", "--replicas", "many"], /whole number from 0 to 20/],
    [["serve", "--port", "70000"], /whole number from 0 to 65535/],
  ])("%j is used wrongly: exit code 2", async (args, message) => {
    const said = await tsdev(args);
    expect(said).toMatchObject({ code: 2, stdout: "" });
    expect(said.stderr).toMatch(message);
  });

  test("a project that does not exist, and an environment", async () => {
    expectJsonError(await cli(["deployments", "--project", "other", "--json"]), "not_found");
    const error = expectJsonError(await cli(["deploy", "--project", "app", "--env", "nowhere", "--json"]), "not_found");
    expect(error.fix).toContain("production");
  });

  test("no platform where one is looked for", async () => {
    const said = await tsdev(["deployments", "--project", "app", "--data", join(folder, "nothing"), "--json"]);
    expect(expectJsonError(said, "unavailable").fix).toMatch(/npx tsdev serve/);
  });

  test("a failed deploy ends with its reason and exit code 1", async () => {
    await app.write({ "server.mjs": `throw new Error("no configuration");\n` });
    const said = await cli(["deploy", "--project", "app", "--json"]);
    expectError(expectJsonError(said, "crashed"), {
      code: "crashed",
      message: /no configuration/,
      fix: /start command/,
    });
    await app.git(["fetch", "--quiet", join(data, "git/repositories", await repositoryName()), "main"]);
    await app.git(["reset", "--quiet", "--hard", "FETCH_HEAD"]);
    await deployGood();
  });

  async function repositoryName(): Promise<string> {
    return `${(await platform.project("app")).id}.git`;
  }

  test("deploy of a folder without git, then of one with uncommitted changes, sends what is there", async () => {
    const plain = await AppRepository.from("naive-app", join(folder, "plain"));
    await plain.write({ version: "plain" });
    await run(["rm", "-rf", ".git"], { cwd: plain.folder });
    const first = await cli(["deploy", "--project", "plain", "--json"], plain.folder);
    expect(first.code, first.stderr).toBe(0);
    expect(JSON.parse(first.stdout)).toMatchObject({ url: expect.stringContaining("plain.localhost") });
    const answer = () =>
      ask(platform.address.url, "naive.plain.localhost").then(({ body }) => JSON.parse(body).version);
    expect(await answer()).toBe("plain");

    await plain.git(["init", "--quiet"]);
    await plain.commit({});
    await plain.write({ version: "changed" });
    const second = await cli(["deploy", "--project", "plain", "--json"], plain.folder);
    expect(second.code, second.stderr).toBe(0);
    expect(await answer()).toBe("changed");
    // the user's own repository is as it was
    expect(await plain.git(["status", "--porcelain"])).toMatch(/^M version$/);
  });

  test("deploy of a folder that is behind the platform says how to catch up", async () => {
    const behind = await AppRepository.from("naive-app", join(folder, "behind"));
    await behind.commit({ version: "behind" });
    const error = expectJsonError(await cli(["deploy", "--project", "app", "--json"], behind.folder), "git_rejected");
    expectError(error, { code: "git_rejected", message: /has commits that this folder has not/, fix: /git pull/ });
    expect(await served()).toMatchObject({ version: `${version}` });
  });

  test("deploy of a folder with nothing in it", async () => {
    const empty = join(folder, "empty");
    await mkdir(empty);
    expectJsonError(await cli(["deploy", "--json"], empty), "invalid_input");
    const error = expectJsonError(await cli(["deploy", "--project", "empty", "--json"], empty), "not_deployable");
    expect(error.fix).toMatch(/npx tsdev init/);
  });

  test("deploy of a folder that does not exist", async () => {
    const error = expectJsonError(await cli(["deploy", "nosuchfolder", "--project", "app", "--json"]), "invalid_input");
    expect(error.message).toMatch(/nosuchfolder/);
  });
});
