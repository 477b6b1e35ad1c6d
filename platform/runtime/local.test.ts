// The local runtime by hazard: wrong apps, taken ports, killed control planes, and the contract every runtime keeps.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { type LocalRuntime, type LocalRuntimeOptions, openLocalRuntime } from "./local.ts";
import { findProcess, isAlive } from "./process-identity.ts";
import { ask, eventually, never, runtimeContract } from "./runtime.contract.ts";
import type { InstanceGroup, InstanceStatus, OutputLine } from "./runtime.ts";

const fixtures = fileURLToPath(new URL("./__fixtures__", import.meta.url));
const holder = join(fixtures, "hold-runtime.ts");

function group(deploymentId: string, changes: Partial<InstanceGroup> = {}): InstanceGroup {
  return {
    ...{ deploymentId, project: "shop", environment: "production", service: "web", folder: fixtures },
    ...{ start: "node web.mjs", health: undefined, replicas: 1, env: {}, hosts: ["web.shop.localhost"] },
    ...changes,
  };
}

const undo: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "tsdev-runtime-"));
  undo.push(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

async function open(directory: string, changes: Partial<LocalRuntimeOptions> = {}): Promise<LocalRuntime> {
  const options = { directory, wantedPort: 0, nodePath: process.execPath, log: () => {}, graceMs: 2000 };
  const runtime = await openLocalRuntime({ ...options, ...changes });
  undo.push(() => runtime.stopAll());
  return runtime;
}

async function live(runtime: LocalRuntime, wanted: InstanceGroup): Promise<void> {
  expect(await runtime.start(wanted, never)).toEqual({ ok: true });
  await runtime.switchTo(wanted.deploymentId);
}

/** A child process that holds a runtime and has made the group live. */
async function hold(
  directory: string,
  wanted?: InstanceGroup,
): Promise<{ child: ChildProcess; url: string; status: InstanceStatus[] }> {
  const child = spawn(process.execPath, [holder, JSON.stringify({ directory, group: wanted })], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  undo.push(() => void child.kill("SIGKILL"));
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`the holder ended with ${code}`)));
  });
  return { child, ...(JSON.parse(line) as { url: string; status: InstanceStatus[] }) };
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}

runtimeContract("local", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tsdev-runtime-"));
  const runtime = await openLocalRuntime({
    ...{ directory, wantedPort: 0, nodePath: process.execPath, log: () => {}, healthTimeoutMs: 3000, graceMs: 2000 },
  });
  return {
    runtime,
    group,
    async dispose() {
      await runtime.stopAll();
      rmSync(directory, { recursive: true, force: true });
    },
  };
});

describe("local runtime, wrong apps", () => {
  it("names the port of an app that listens on a fixed one, and the fix", async () => {
    const runtime = await open(newDirectory(), { wrongPortAfterMs: 300 });
    const probe = createServer().listen(0);
    const port = (probe.address() as { port: number }).port;
    await new Promise((resolve) => probe.close(resolve));
    const result = await runtime.start(group("dep_1", { env: { LISTEN: String(port) } }), never);
    expect(result).toMatchObject({ ok: false, error: { code: "wrong_port" } });
    if (result.ok) return;
    expect(result.error.message).toContain(`listens on port ${port}, not on PORT`);
    expect(result.error.fix).toContain("process.env.PORT");
  });

  it("says port_taken when the fixed port is in use", async () => {
    const runtime = await open(newDirectory());
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, resolve));
    undo.push(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const result = await runtime.start(group("dep_1", { env: { LISTEN: String(port) } }), never);
    expect(result).toMatchObject({ ok: false, error: { code: "port_taken" } });
    expect(JSON.stringify(result)).toContain(`port ${port}, which is in use`);
  });

  it("says that an app never listens", async () => {
    const runtime = await open(newDirectory(), { healthTimeoutMs: 700 });
    const result = await runtime.start(group("dep_1", { start: "node silent.mjs" }), never);
    expect(result).toMatchObject({ ok: false, error: { code: "unhealthy" }, lastLines: ["working"] });
    expect(JSON.stringify(result)).toContain("nothing listens on port");
  });

  it("names a start command that does not exist", async () => {
    const runtime = await open(newDirectory());
    const result = await runtime.start(group("dep_1", { start: "no-such-program --serve" }), never);
    expect(result).toMatchObject({ ok: false, error: { code: "crashed" } });
    expect(JSON.stringify(result)).toContain("is not installed");
  });

  it("serves an app that listens on ::1 only", async () => {
    const runtime = await open(newDirectory());
    await live(runtime, group("dep_1", { env: { LISTEN_HOST: "::1" } }));
    expect((await ask(runtime.routerUrl, "web.shop.localhost")).status).toBe(200);
  });
});

describe("local runtime, processes", () => {
  it("gives an app its own variables and PORT, and of ours only PATH, HOME, TMPDIR, LANG and TZ", async () => {
    process.env.TSDEV_TEST_SECRET = "of the control plane";
    undo.push(() => void delete process.env.TSDEV_TEST_SECRET);
    const runtime = await open(newDirectory());
    await live(runtime, group("dep_1", { env: { VERSION: "v", DATABASE_URL: "postgres://here" } }));
    const env = JSON.parse((await ask(runtime.routerUrl, "web.shop.localhost", "/env")).body) as Record<string, string>;
    const allowed = ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "PORT", "TSDEV_INSTANCE", "VERSION", "DATABASE_URL"];
    // PWD, OLDPWD, SHLVL and _ are the shell's own.
    expect(Object.keys(env).filter((name) => ![...allowed, "PWD", "OLDPWD", "SHLVL", "_"].includes(name))).toEqual([]);
    expect(env.DATABASE_URL).toBe("postgres://here");
  });

  it("ends the whole group of a start command that needs a shell", async () => {
    const runtime = await open(newDirectory());
    await live(runtime, group("dep_1", { start: "VERSION=shell node web.mjs & wait" }));
    const { version, pid } = JSON.parse((await ask(runtime.routerUrl, "web.shop.localhost")).body);
    expect(version).toBe("shell");
    expect(findProcess(pid)).toBeDefined();
    await runtime.stop("dep_1");
    expect(findProcess(pid)).toBeUndefined();
  });

  it("keeps an instance whose waiting shell was killed", async () => {
    const runtime = await open(newDirectory());
    await live(runtime, group("dep_1"));
    const [before] = await runtime.status("dep_1");
    process.kill(findProcess(before!.pid)!.parent, "SIGKILL");
    await eventually("the shell is gone", () => findProcess(before!.pid)?.parent !== undefined);
    expect((await ask(runtime.routerUrl, "web.shop.localhost")).status).toBe(200);
    expect((await runtime.status("dep_1"))[0]).toMatchObject({ id: before!.id, state: "healthy" });
    await runtime.stop("dep_1");
    expect(findProcess(before!.pid)).toBeUndefined();
  });

  it("moves a killed instance's requests to the other one without a failure", async () => {
    const runtime = await open(newDirectory());
    await live(runtime, group("dep_1", { replicas: 2 }));
    const [first] = await runtime.status("dep_1");
    process.kill(first!.pid, "SIGKILL");
    for (let i = 0; i < 50; i++) expect((await ask(runtime.routerUrl, "web.shop.localhost")).status).toBe(200);
    await eventually("two are healthy again", async () => {
      const healthy = (await runtime.status("dep_1")).filter(({ state }) => state === "healthy");
      return healthy.length === 2 && healthy.some(({ restarts }) => restarts === 1);
    });
  });
});

describe("local runtime, an app that cannot start again", () => {
  it("is tried with growing pauses, says so once per try, and serves as soon as it can", async () => {
    const folder = newDirectory();
    const app = join(folder, "app.mjs");
    const serve =
      "import { createServer } from 'node:http'; createServer((q, r) => r.end('ok')).listen(process.env.PORT);";
    writeFileSync(app, serve);
    const tries: number[] = [];
    const log = (message: string) => void (message.startsWith("restart of dep_1") && tries.push(performance.now()));
    const runtime = await open(newDirectory(), { log });
    await live(runtime, group("dep_1", { folder, start: "node app.mjs" }));
    writeFileSync(app, "throw new Error('broken')");
    process.kill((await runtime.status("dep_1"))[0]!.pid, "SIGKILL");
    await eventually("four tries", () => tries.length >= 4);
    expect(tries[3]! - tries[2]!).toBeGreaterThan(tries[1]! - tries[0]!);
    expect((await ask(runtime.routerUrl, "web.shop.localhost")).status).toBe(503);
    writeFileSync(app, serve);
    await eventually("it serves", async () => (await ask(runtime.routerUrl, "web.shop.localhost")).status === 200);
  });
});

describe("local runtime, kill -9 of the control plane", () => {
  it("adopts the same router and the same instances, which served all the while", async () => {
    const directory = newDirectory();
    const held = await hold(directory, group("dep_1", { replicas: 2, env: { VERSION: "held" } }));
    await kill(held.child);
    expect((await ask(held.url, "web.shop.localhost")).status).toBe(200);
    const runtime = await open(directory);
    expect(runtime.routerUrl).toBe(held.url);
    const pids = (status: InstanceStatus[]) => status.map(({ pid }) => pid).sort();
    expect(pids(await runtime.status())).toEqual(pids(held.status));
    expect(JSON.parse((await ask(runtime.routerUrl, "web.shop.localhost")).body).version).toBe("held");
    // And it is a whole runtime again: the next deployment replaces what was adopted.
    await live(runtime, group("dep_2", { env: { VERSION: "next" } }));
    expect(JSON.parse((await ask(runtime.routerUrl, "web.shop.localhost")).body).version).toBe("next");
    expect(pids(held.status).map(findProcess)).toEqual([undefined, undefined]);
  });

  it("starts again what died while no control plane ran", async () => {
    const directory = newDirectory();
    const held = await hold(directory, group("dep_1"));
    await kill(held.child);
    process.kill(held.status[0]!.pid, "SIGKILL");
    const runtime = await open(directory);
    const answer = await eventually("it serves again", async () => {
      const got = await ask(runtime.routerUrl, "web.shop.localhost");
      return got.status === 200 && got;
    });
    expect(JSON.parse(answer.body).pid).not.toBe(held.status[0]!.pid);
  });

  it("loses and doubles no line of output", async () => {
    const directory = newDirectory();
    const printer = group("dep_1", { start: "node printer.mjs", env: { EVERY_MS: "2" } });
    const held = await hold(directory, printer);
    const seen: string[] = [];
    const read = async (runtime: LocalRuntime, until: number) => {
      const abort = new AbortController();
      const reading = runtime.output(async (line: OutputLine) => void seen.push(line.text), abort.signal);
      await eventually("enough lines", () => seen.length >= until);
      abort.abort();
      await reading;
    };
    await kill(held.child);
    const first = await open(directory);
    await read(first, 100);
    await first.close();
    const second = await open(directory);
    await read(second, seen.length + 200);
    expect(seen).toEqual(seen.map((_, index) => `line ${index + 1}`));
  });

  it("delivers lines again that the reader failed to take", async () => {
    const runtime = await open(newDirectory());
    const seen: string[] = [];
    let failures = 2;
    const abort = new AbortController();
    const reading = runtime.output(async (line) => {
      if (line.text === "line 5" && failures-- > 0) throw new Error("the store is away");
      seen.push(line.text);
    }, abort.signal);
    await live(runtime, group("dep_1", { start: "node printer.mjs" }));
    await eventually("they came", () => seen.includes("line 5") && seen.length - seen.lastIndexOf("line 5") > 10);
    const order = seen.slice(seen.lastIndexOf("line 5")).slice(0, 10);
    expect(order).toEqual(order.map((_, index) => `line ${index + 5}`));
    abort.abort();
    await reading;
  });
});

describe("local runtime, side by side", () => {
  it("two directories do not disturb each other, and the second takes the next port", async () => {
    const one = await open(newDirectory());
    const wanted = Number(new URL(one.routerUrl).port);
    const two = await open(newDirectory(), { wantedPort: wanted });
    expect(two.routerUrl).not.toBe(one.routerUrl);
    await Promise.all([
      live(one, group("dep_1", { env: { VERSION: "one" } })),
      live(two, group("dep_1", { env: { VERSION: "two" } })),
    ]);
    const version = async (runtime: LocalRuntime) =>
      JSON.parse((await ask(runtime.routerUrl, "web.shop.localhost")).body).version;
    expect([await version(one), await version(two)]).toEqual(["one", "two"]);
    await one.stopAll();
    expect(await version(two)).toBe("two");
  });

  it("refuses to start where the port that it has to have is taken, and adopts a router that has it", async () => {
    const one = await open(newDirectory());
    const exact = { wantedPort: Number(new URL(one.routerUrl).port), exactPort: true };
    const other = newDirectory();
    const refused = await open(other, exact).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "port_taken", message: `port ${exact.wantedPort} is in use` });
    await one.stopAll();
    const two = await open(other, exact);
    expect(two.routerUrl).toBe(one.routerUrl);
    expect((await open(other, exact)).routerUrl).toBe(one.routerUrl);
  });

  it("keeps its port over a restart of everything", async () => {
    const directory = newDirectory();
    const first = await openLocalRuntime({ directory, wantedPort: 0, nodePath: process.execPath, log: () => {} });
    const url = first.routerUrl;
    await first.stopAll();
    expect((await open(directory)).routerUrl).toBe(url);
  });

  it("leaves no process behind after stopAll", async () => {
    const directory = newDirectory();
    const runtime = await openLocalRuntime({ directory, wantedPort: 0, nodePath: process.execPath, log: () => {} });
    await live(runtime, group("dep_1", { replicas: 2 }));
    const pids = (await runtime.status()).map(({ pid }) => pid);
    await runtime.stopAll();
    expect(pids.map(findProcess)).toEqual([undefined, undefined]);
    await expect(ask(runtime.routerUrl, "web.shop.localhost")).rejects.toThrow(/ECONNREFUSED/);
    expect(isAlive({ pid: process.pid, ticks: "0", boot: "another" })).toBe(false);
  });

  it("works in a directory whose path is too long for a unix socket", async () => {
    const runtime = await open(join(newDirectory(), "x".repeat(120)));
    await live(runtime, group("dep_1"));
    expect((await ask(runtime.routerUrl, "web.shop.localhost")).status).toBe(200);
  });
});
