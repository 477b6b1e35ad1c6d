// Fixture: a real Redis for tests, Debian's `redis-server` in a temporary folder on a free port.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";

export interface RedisFixture extends AsyncDisposable {
  readonly url: string;
  /** Ends it as a crash would, and starts it again with what it had written down. */
  crashAndRestart(): Promise<void>;
  /** Ends it as a crash would; `start` brings it back. */
  crash(): Promise<void>;
  start(): Promise<void>;
}

/** False where there is no `redis-server`, which is then said once. With TSDEV_REQUIRE_REDIS=1 that is an error. */
export async function redisAvailable(): Promise<boolean> {
  try {
    await promisify(execFile)("redis-server", ["--version"]);
    return true;
  } catch (cause) {
    const reason = "there is no redis-server here: tests on Redis are left out (apt-get install redis-server)";
    if (process.env.TSDEV_REQUIRE_REDIS === "1") throw new Error(reason, { cause });
    console.warn(reason);
    return false;
  }
}

export async function startRedis(): Promise<RedisFixture> {
  const folder = await mkdtemp(join(tmpdir(), "tsdev-redis-"));
  const port = await freePort();
  let server: ChildProcess;

  async function start(): Promise<void> {
    // Every write on disk before it is acknowledged, so that a crash loses none.
    const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", folder, "--save", "", "--appendonly", "yes"];
    server = spawn("redis-server", [...options, "--appendfsync", "always"], { stdio: "ignore" });
    const child = server;
    while (!(await answers(port))) {
      if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}`);
      await wait(20);
    }
  }
  async function crash(): Promise<void> {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill("SIGKILL");
    await ended;
  }

  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    start,
    crash,
    crashAndRestart: async () => {
      await crash();
      await start();
    },
    [Symbol.asyncDispose]: async () => {
      await crash();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** True once it has loaded what it had written down: until then it answers PING with an error. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", () => resolve(false));
    socket.once("connect", () => socket.write("PING\r\n"));
    socket.once("data", (data) => {
      socket.destroy();
      resolve(data.toString().startsWith("+PONG"));
    });
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
