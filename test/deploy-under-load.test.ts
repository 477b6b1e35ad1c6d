// A hundred requests a second through ten deploys, two rollbacks and a kill -9 of the control plane: none may fail.
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AppRepository } from "./app-repository.fixture.ts";
import { endAndRemove, eventually, PlatformProcess, temporaryFolder } from "./platform.fixture.ts";
import { type RequestLoop, startRequestLoop } from "./request-loop.fixture.ts";

const deploys = 10;
const killedDuring = 6;
const rolledBackAfter = [4, 8];
const perSecond = 100;
/** So many requests are looked at before a version counts as the one that is served. */
const shown = 50;

interface App {
  project: string;
  repository: AppRepository;
  git: string;
  loop: RequestLoop;
}

let folder: string;
let data: string;
let platform: PlatformProcess;
let apps: App[];

beforeAll(async () => {
  folder = await temporaryFolder("load");
  data = join(folder, "data");
  platform = await PlatformProcess.start(data);
  apps = [];
  // one that ends at once on SIGTERM, and one that the SDK stops without hurry
  for (const [project, repository] of [
    ["naive", await AppRepository.from("naive-app", join(folder, "naive"))],
    ["graceful", await AppRepository.graceful(join(folder, "graceful"))],
  ] as const) {
    const { git } = await platform.project(project);
    const app = { project, repository, git, loop: undefined as unknown as RequestLoop };
    await deploy(app, 1);
    const host = `${project}.${project}.localhost`;
    app.loop = startRequestLoop(platform.address.url, host, project === "naive" ? perSecond : perSecond / 2);
    apps.push(app);
  }
}, 300_000);

afterAll(async () => {
  for (const app of apps ?? []) await app.loop.stop();
  await endAndRemove(data, platform);
  await endAndRemove(folder, undefined);
}, 120_000);

async function push(app: App, version: number): Promise<string> {
  const commit = await app.repository.commit({ version: `${version}\n` }, `version ${version}`);
  const pushed = await app.repository.push(app.git, platform.address.token);
  expect(pushed.code, pushed.stderr).toBe(0);
  return commit;
}

async function deploy(app: App, version: number): Promise<void> {
  const commit = await push(app, version);
  const settled = await platform.settled(app.project, (one) => one.commit === commit);
  expect(settled).toMatchObject({ status: "live", reason: null });
}

/** Every request sent from now on, and there are many, is answered by this version. */
async function serves(app: App, version: number): Promise<void> {
  const from = performance.now();
  const after = () => app.loop.answered.filter((one) => one.sent > from);
  await eventually(`${shown} answers of ${app.project}`, () => after().length >= shown);
  expect(new Set(after().map((one) => one.version))).toEqual(new Set([String(version)]));
}

async function rollback(app: App): Promise<void> {
  const where = { project: app.project, environment: "production" };
  expect(await platform.client.call("deployments.rollback", where)).toMatchObject({ status: "live" });
}

test("no request fails through deploys, rollbacks and a killed control plane", async () => {
  for (let version = 2; version <= deploys + 1; version++) {
    for (const app of apps) {
      // the one that ends at once is the harder case; the other is deployed every second time
      if (app.project === "graceful" && version % 2 === 1) continue;
      if (version === killedDuring && app.project === "naive") {
        const commit = await push(app, version);
        await platform.kill("SIGKILL");
        // the apps serve with no control plane at all
        await serves(app, version - 1);
        platform = await PlatformProcess.start(data);
        const settled = await platform.settled(app.project, (one) => one.commit === commit);
        expect(settled).toMatchObject({ status: "live", reason: null });
      } else await deploy(app, version);
      await serves(app, version);
      if (rolledBackAfter.includes(version)) {
        await rollback(app);
        await serves(app, app.project === "graceful" ? version - 2 : version - 1);
      }
    }
  }

  for (const { project, loop, repository } of apps) {
    await loop.stop();
    expect(loop.failures).toEqual([]);
    expect(loop.answered).toHaveLength(loop.sent);
    const list = await platform.deployments(project);
    const pushed = list.filter((one) => one.cause === "push");
    const commits = (await repository.git(["log", "--format=%H"])).split("\n");
    expect(pushed.map((one) => one.commit)).toEqual(commits);
    expect(list.map((one) => one.status)).toEqual(["live", ...Array(list.length - 1).fill("superseded")]);
    expect(list.filter((one) => one.cause === "rollback")).toHaveLength(rolledBackAfter.length);
    const instances = list.flatMap((one) => one.instances.filter((instance) => instance.state !== "exited"));
    expect(instances).toMatchObject([{ state: "healthy" }]);
  }
}, 600_000);
