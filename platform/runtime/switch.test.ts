// Zero failed requests: switches, scales, restarts and kills under constant load.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type Load, startLoad } from "./__fixtures__/load.ts";
import { type LocalRuntime, openLocalRuntime } from "./local.ts";
import { findProcess, listProcesses } from "./process-identity.ts";
import type { RouterStats } from "./router/control.ts";
import { ask, eventually, never } from "./runtime.contract.ts";
import type { InstanceGroup } from "./runtime.ts";

const folder = fileURLToPath(new URL("./__fixtures__", import.meta.url));
const host = "web.shop.localhost";
let directory: string;
let runtime: LocalRuntime;
let load: Load | undefined;

function group(deploymentId: string, changes: Partial<InstanceGroup> = {}): InstanceGroup {
  return {
    ...{ deploymentId, project: "shop", environment: "production", service: "web", folder, start: "node web.mjs" },
    ...{ health: undefined, replicas: 1, env: { VERSION: deploymentId }, hosts: [host] },
    ...changes,
  };
}

function environment(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return [];
  }
}

async function live(wanted: InstanceGroup): Promise<void> {
  expect(await runtime.start(wanted, never)).toEqual({ ok: true });
  await runtime.switchTo(wanted.deploymentId);
}

/** Lets the load run until so many more requests were sent. */
async function sendMore(count: number): Promise<void> {
  const until = load!.sent + count;
  await eventually("the load goes on", () => load!.sent >= until);
}

/** Asks the router itself, over its control channel; undefined while there is none. */
function routerStats(): Promise<RouterStats | undefined> {
  return new Promise((resolve) => {
    const socket = connect(join(directory, "router", "control.sock"));
    socket.on("error", () => resolve(undefined));
    socket.on("close", () => resolve(undefined));
    createInterface({ input: socket })
      .once("line", (line) => {
        resolve((JSON.parse(line) as { result: RouterStats }).result);
        socket.destroy();
      })
      .on("error", () => {});
    socket.write(`${JSON.stringify({ id: 1, command: { do: "stats" } })}\n`);
  });
}

const routerPid = async () => (await routerStats())?.pid;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "tsdev-switch-"));
  const options = { directory, wantedPort: 0, nodePath: process.execPath, log: () => {}, graceMs: 1000 };
  runtime = await openLocalRuntime(options);
});
afterEach(async () => {
  await load?.stop();
  load = undefined;
  await runtime.stopAll();
  rmSync(directory, { recursive: true, force: true });
});

describe("under constant load", () => {
  it("no request fails through switches and scales, with event streams and WebSockets open", async () => {
    await live(group("dep_0"));
    const { port } = new URL(runtime.routerUrl);
    const versions = { ws: new Set<string>(), sse: new Set<string>() };
    let watching = true;
    const openSocket = () => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host } });
      socket.on("message", (data) => versions.ws.add(String(data)));
      socket.on("error", () => {});
      socket.on("close", () => watching && openSocket());
      return socket;
    };
    const openStream = () => {
      const asked = request(
        { host: "127.0.0.1", port, path: "/events", headers: { host }, agent: false },
        (response) => {
          response.on("data", (chunk) => versions.sse.add(String(chunk).trim()));
          response.on("error", () => {});
          response.on("close", () => watching && openStream());
        },
      );
      asked.on("error", () => {});
      asked.end();
    };
    for (let i = 0; i < 3; i++) {
      openSocket();
      openStream();
    }
    load = startLoad(runtime.routerUrl, host, 150);
    for (let number = 1; number <= 4; number++) {
      const env = { VERSION: `dep_${number}`, GRACEFUL: number % 2 === 0 ? "yes" : "no" };
      await live(group(`dep_${number}`, { env, replicas: 1 + (number % 2) }));
      await sendMore(20);
    }
    for (const replicas of [3, 1, 2]) {
      expect(await runtime.scale("dep_4", replicas, never)).toEqual({ ok: true });
      await sendMore(20);
    }
    await eventually(
      "the sockets follow",
      () => versions.ws.has("hello from dep_4") && versions.sse.has("data: dep_4"),
    );
    watching = false;
    await load.stop();
    console.log(`switches and scales: ${load.failures.length} of ${load.sent} failed`);
    expect(load.failures).toEqual([]);
    expect(load.sent).toBeGreaterThan(150);
  });

  it("no request fails while control planes are killed at any moment of their deployments, and the next one tidies up", async () => {
    await runtime.close();
    const script = join(folder, "deploy-loop.ts");
    let from = 0;
    const deploy = async () => {
      const child = spawn(process.execPath, [script, JSON.stringify({ directory, group: group("dep"), from })], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const first = new Promise<void>((resolve) => {
        createInterface({ input: child.stdout! }).on("line", (line) => {
          from = Math.max(from, Number(line));
          resolve();
        });
      });
      await first;
      return child;
    };
    const kill = async (child: ChildProcess) => {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await gone;
    };
    let child = await deploy();
    load = startLoad(runtime.routerUrl, host, 100);
    for (let round = 0; round < 6; round++) {
      await sendMore(5 + Math.floor(Math.random() * 60));
      await kill(child);
      from += 10;
      child = await deploy();
    }
    await kill(child);
    runtime = await openLocalRuntime({
      directory,
      wantedPort: 0,
      nodePath: process.execPath,
      log: () => {},
      graceMs: 1000,
    });
    const { version, pid } = JSON.parse((await ask(runtime.routerUrl, host)).body) as { version: string; pid: number };
    await runtime.retain([version]);
    await load.stop();
    console.log(`control plane killed 7 times: ${load.failures.length} of ${load.sent} failed`);
    expect(load.failures).toEqual([]);
    const running = (await runtime.status()).filter(({ state }) => state !== "exited");
    expect(running).toMatchObject([{ deploymentId: version, pid, state: "healthy" }]);
    // By the kernel, not by our records: nothing of any of the deployments is left but the live one's shell and app.
    const apps = listProcesses().filter(({ pid: other }) => environment(other).includes(`DIRECTORY=${directory}`));
    expect(apps.map((entry) => entry.pid).sort()).toEqual([pid, findProcess(pid)!.parent].sort());
  });

  it("no connection is refused when the router is killed, and it serves again by its own state", async () => {
    await live(group("dep_0"));
    load = startLoad(runtime.routerUrl, host, 150);
    for (let round = 0; round < 3; round++) {
      await sendMore(40);
      const pid = await eventually("a router", routerPid);
      process.kill(pid, "SIGKILL");
      await eventually("another router", async () => ![undefined, pid].includes(await routerPid()));
    }
    await sendMore(40);
    await load.stop();
    console.log(`router killed 3 times: ${load.failures.length} of ${load.sent} failed`);
    expect(load.failures.filter((failure) => failure.includes("ECONNREFUSED"))).toEqual([]);
    // Only what was on the killed router's own connections can fail.
    expect(load.failures.filter((failure) => !/ECONNRESET|socket hang up|EPIPE|aborted/.test(failure))).toEqual([]);
  });

  it("the killed supervisor is replaced, so that a kill of the router after it still refuses nothing", async () => {
    await live(group("dep_0"));
    const router = (await routerPid())!;
    process.kill(findProcess(router)!.parent, "SIGKILL");
    await eventually("another supervisor", () => listProcesses().some(({ parent }) => parent === router));
    load = startLoad(runtime.routerUrl, host, 150);
    await sendMore(40);
    process.kill(router, "SIGKILL");
    await eventually("another router", async () => ![undefined, router].includes(await routerPid()));
    await sendMore(20);
    await load.stop();
    expect(load.failures.filter((failure) => failure.includes("ECONNREFUSED"))).toEqual([]);
    expect((await ask(runtime.routerUrl, host)).status).toBe(200);
  });

  it("requests are held while the only instance is started again", async () => {
    await live(group("dep_0"));
    const [instance] = await runtime.status("dep_0");
    process.kill(instance!.pid, "SIGKILL");
    await eventually("it is dead", () => findProcess(instance!.pid) === undefined);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => ask(runtime.routerUrl, host, "/", { method: "POST", body: "hello" })),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  });

  it("a request that outlives the drain limit does not hold up the switch for ever", async () => {
    await runtime.stopAll();
    runtime = await openLocalRuntime({
      ...{ directory, wantedPort: 0, nodePath: process.execPath, log: () => {}, drainMs: 200, graceMs: 200 },
    });
    await live(group("dep_0"));
    const slow = ask(runtime.routerUrl, host, "/?ms=60000");
    await eventually("it is in flight", async () =>
      (await routerStats())?.upstreams.some(({ inFlight }) => inFlight > 0),
    );
    await live(group("dep_1"));
    expect((await slow.catch(() => ({ status: 502 }))).status).toBe(502);
  });
});
