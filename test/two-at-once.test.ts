// Two platforms on one machine do not disturb each other; one directory has one control plane, and a killed one is replaced.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ErrorShape } from "../sdk/errors.ts";
import { AppRepository } from "./app-repository.fixture.ts";
import { ask, endAndRemove, eventually, PlatformProcess, refusedStart, temporaryFolder } from "./platform.fixture.ts";

const host = "naive.app.localhost";
// generous, for a machine that is busy with other things
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

let folder: string;
let platforms: PlatformProcess[];

beforeEach(async () => {
  folder = await temporaryFolder("two");
  platforms = [];
});

afterEach(async () => {
  for (const platform of platforms) await platform.stopAll();
  await endAndRemove(folder, undefined);
}, 120_000);

async function start(name: string): Promise<PlatformProcess> {
  const platform = await PlatformProcess.start(join(folder, name));
  platforms.push(platform);
  return platform;
}

async function deploy(platform: PlatformProcess, name: string, version: string): Promise<AppRepository> {
  const app = await AppRepository.from("naive-app", join(folder, name));
  const { git } = await platform.project("app");
  const commit = await app.commit({ version });
  const pushed = await app.push(git, platform.address.token);
  expect(pushed.code, pushed.stderr).toBe(0);
  expect(await platform.settled("app", (one) => one.commit === commit)).toMatchObject({ status: "live" });
  return app;
}

const version = async ({ address }: PlatformProcess) =>
  (JSON.parse((await ask(address.url, host)).body) as { version: string }).version;

/** How many requests for a path the platform has traced. */
async function traced({ client }: PlatformProcess, path: string): Promise<number> {
  const where = { project: "app", environment: "production", since: "1h" };
  const { traces } = await client.call("traces.search", { ...where, limit: 100 });
  const whole = await Promise.all(traces.map(({ traceId }) => client.call("traces.get", { trace: traceId })));
  return whole.filter(({ spans }) => spans.some((span) => span.attributes["url.path"] === path)).length;
}

test("two that start at the same moment deploy the same app side by side, each with its own ports, git and telemetry", async () => {
  const [one, two] = await Promise.all([start("one"), start("two")]);
  for (const face of ["url", "otlp", "token"] as const) expect(one.address[face]).not.toBe(two.address[face]);
  await Promise.all([deploy(one, "app-one", "one"), deploy(two, "app-two", "two")]);
  expect([await version(one), await version(two)]).toEqual(["one", "two"]);

  // what is asked of one is traced there alone
  const asked = 10;
  const asks = [
    { own: one, other: two, path: "/only-one" },
    { own: two, other: one, path: "/only-two" },
  ];
  for (const { own, path } of asks) for (let count = 0; count < asked; count++) await ask(own.address.url, host, path);
  for (const { own, path } of asks)
    await eventually(`traces of ${path}`, async () => (await traced(own, path)) === asked);
  for (const { other, path } of asks) expect(await traced(other, path)).toBe(0);

  // the token, the repository and the deployments of one are nothing to the other
  const headers = { authorization: `Bearer ${one.address.token}` };
  expect((await fetch(`${two.address.url}/api/v1/projects/list`, { headers })).status).toBe(401);
  const [[first], [second]] = [await one.deployments("app"), await two.deployments("app")];
  expect(first!.commit).not.toBe(second!.commit);
  for (const platform of [one, two]) {
    expect(readdirSync(join(platform.data, "git/repositories"))).toHaveLength(1);
    expect(await platform.deployments("app")).toHaveLength(1);
  }

  // one that is ended, and what it served with it, leaves the other as it was
  await one.stopAll();
  expect(await version(two)).toBe("two");
  await expect(version(one)).rejects.toThrow();
});

test("a second start on one directory names who holds it; after a kill -9 of the holder the next takes over at once", async () => {
  const holder = await start("data");
  const app = await deploy(holder, "app", "1");
  const said = await refusedStart(["--data", holder.data, "--port", "0", "--json"]);
  expect(said).toMatchObject({ code: 1, stdout: "" });
  const { error } = JSON.parse(said.stderr) as { error: ErrorShape };
  expect(error.code).toBe("data_directory_held");
  expect(error.message).toContain(`pid ${holder.pid} at ${holder.address.url}`);
  expect(error.fix).toMatch(/tsdev stop --data|another --data/);
  // being refused has not disturbed the holder
  expect(await version(holder)).toBe("1");
  expect(await holder.deployments("app")).toHaveLength(1);

  await holder.kill("SIGKILL");
  expect(await version(holder)).toBe("1");
  const next = await start("data");
  // the standard OTLP port is whoever's comes first
  expect({ ...next.address, otlp: "" }).toEqual({ ...holder.address, otlp: "" });
  expect(await version(next)).toBe("1");
  const { git } = await next.project("app");
  const commit = await app.commit({ version: "2" });
  expect((await app.push(git, next.address.token)).code).toBe(0);
  expect(await next.settled("app", (one) => one.commit === commit)).toMatchObject({ status: "live" });
  expect(await version(next)).toBe("2");
});

test("of two starts on one directory at the same moment one runs and the other names it", async () => {
  const data = join(folder, "data");
  const outcomes = await Promise.allSettled([start("data"), start("data")]);
  expect(outcomes.map((one) => one.status).toSorted()).toEqual(["fulfilled", "rejected"]);
  const refused = outcomes.find((one) => one.status === "rejected") as PromiseRejectedResult;
  expect(String(refused.reason)).toMatch(
    new RegExp(`data_directory_held.*${data} is held by the control plane with pid ${platforms[0]!.pid}`),
  );
  expect((await fetch(`${platforms[0]!.address.url}/readyz`)).status).toBe(200);
});
