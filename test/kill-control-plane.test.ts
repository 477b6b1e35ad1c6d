// kill -9 of the control plane at random moments of a push, a build, a deployment and of its own start: each time the work
// ends as if nothing had happened, the app serves all the while, and nothing is left behind.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AppRepository } from "./app-repository.fixture.ts";
import { endAndRemove, eventually, PlatformProcess, processesOn, temporaryFolder } from "./platform.fixture.ts";
import { type RequestLoop, startRequestLoop } from "./request-loop.fixture.ts";
import { seededRandom } from "./seeded-random.ts";

const seed = Number(process.env.TSDEV_KILL_SEED ?? 1);
const kills = Number(process.env.TSDEV_KILLS ?? 12);
/** A push, the build of the fixture, its start and the switch take about as long. */
const longestMs = 3000;
/** Every so many kills the next start is killed as well. */
const startKilledEvery = 3;
const startMs = 2500;

let folder: string;
let data: string;
let platform: PlatformProcess;
let app: AppRepository;
let git: string;
let loop: RequestLoop;

beforeAll(async () => {
  folder = await temporaryFolder("kill");
  data = join(folder, "data");
  platform = await PlatformProcess.start(data);
  app = await AppRepository.from("naive-app", join(folder, "app"));
  const scripts = { start: "node server.mjs", build: "node build.mjs" };
  await app.write({ "package.json": JSON.stringify({ name: "naive", type: "module", scripts }) });
  ({ git } = await platform.project("app"));
  await push(await app.commit({ version: "0" }));
  loop = startRequestLoop(platform.address.url, "naive.app.localhost", 20);
}, 120_000);

afterAll(async () => {
  await loop?.stop();
  await endAndRemove(data, platform);
  await endAndRemove(folder, undefined);
}, 120_000);

/** Pushes as a person does: again when it was refused or cut off; then waits for the deployment. */
async function push(commit: string): Promise<void> {
  await eventually("the push is taken", async () => (await app.push(git, platform.address.token)).code === 0);
  expect(await platform.settled("app", (one) => one.commit === commit)).toMatchObject({ status: "live", reason: null });
}

const building = () => processesOn(join(data, "builds"));
const inFolder = (...path: string[]) => readdir(join(data, ...path)).catch(() => []);

test(`${kills} kills, seed ${seed}`, async () => {
  const random = seededRandom(seed);
  const pidsOfApp = () =>
    processesOn(join(data, "releases")).filter(({ command }) => /^\S*node server\.mjs/.test(command));
  for (let kill = 1; kill <= kills; kill++) {
    const about = `kill ${kill} of seed ${seed}`;
    const commit = await app.commit({ version: `${kill}` }, `version ${kill}`);
    const first = app.push(git, platform.address.token);
    const afterMs = Math.round(random() * longestMs);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await platform.kill("SIGKILL");
    await first;
    const left = building().map(({ pid }) => pid);
    console.log(`${about} after ${afterMs} ms, ${left.length} processes of a build`);

    if (kill % startKilledEvery === 0) await PlatformProcess.startAndKill(data, Math.round(random() * startMs));
    const { url, token } = platform.address;
    platform = await PlatformProcess.start(data);
    expect({ url: platform.address.url, token: platform.address.token }, about).toEqual({ url, token });
    // what the dead control plane's build had started is ended; a build that goes on is a new one
    expect(
      building().filter(({ pid }) => left.includes(pid)),
      about,
    ).toEqual([]);

    await push(commit);
    await eventually(`${about}: the new version alone answers`, async () => {
      const from = performance.now();
      await eventually("answers", () => loop.answered.filter((one) => one.sent > from).length >= 10);
      return loop.answered.filter((one) => one.sent > from).every((one) => one.version === `${kill}`);
    });
    expect(await inFolder("builds", "work"), about).toEqual([]);
    await eventually(
      `${about}: no record of a process is left`,
      async () => (await inFolder("processes")).length === 0,
    );
    await eventually(`${about}: one instance is left`, () => process.platform !== "linux" || pidsOfApp().length === 1);
  }

  await loop.stop();
  expect(loop.failures).toEqual([]);
  expect(loop.answered).toHaveLength(loop.sent);

  // one deployment for each push, in order, each of which was live
  const list = await platform.deployments("app");
  const commits = (await app.git(["log", "--format=%H"])).split("\n");
  expect(list.map((one) => one.commit)).toEqual(commits);
  expect(list.map((one) => [one.cause, one.status])).toEqual([
    ["push", "live"],
    ...Array.from({ length: kills }, () => ["push", "superseded"]),
  ]);
  for (const one of list) {
    const log = await readFile(join(data, "builds/logs", `${one.id}.ndjson`), "utf8");
    expect(log.trim().split("\n").at(-1)).toContain("live at");
  }
}, 900_000);
