// Fixture: a MySQL server for tests, Debian's MariaDB, in a temporary folder on a free port.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { chown, mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import mysql from "mysql2/promise";

const run = promisify(execFile);
const binary = ["/usr/sbin/mariadbd", "/usr/local/sbin/mariadbd"].find(existsSync);

export interface MysqlFixture {
  /** Of an empty database, as root without a password. */
  readonly url: string;
  readonly port: number;
  stop(): Promise<void>;
}

/** False where there is no `mariadbd`, which is then said once. With TSDEV_REQUIRE_SERVERS=1 that is an error. */
export function hasMysql(): boolean {
  if (binary) return true;
  const reason = "there is no mariadbd: install mariadb-server";
  if (process.env.TSDEV_REQUIRE_SERVERS === "1") throw new Error(reason);
  process.stdout.write(`tests of MySQL are skipped: ${reason}\n`);
  return false;
}

export async function startMysql(): Promise<MysqlFixture> {
  const folder = await mkdtemp(join(tmpdir(), "tsdev-mysql-"));
  const root = process.getuid?.() === 0;
  // It refuses to run as root unless told who to be; nobody has this name on every Linux.
  const user = root ? ["--user=nobody"] : [];
  if (root) await chown(folder, 65_534, 65_534);
  const data = join(folder, "data");
  await run(
    "mariadb-install-db",
    ["--no-defaults", `--datadir=${data}`, "--auth-root-authentication-method=normal", "--skip-test-db", ...user],
    { cwd: folder },
  );
  const port = await freePort();
  const server = spawn(
    binary!,
    [
      "--no-defaults",
      `--datadir=${data}`,
      `--port=${port}`,
      `--socket=${join(folder, "s")}`,
      "--bind-address=127.0.0.1",
      ...user,
    ],
    { cwd: folder, stdio: "ignore" },
  );
  await answering(server, port);
  return {
    url: `mysql://root@127.0.0.1:${port}/shop`,
    port,
    stop: async () => {
      const ended = new Promise((done) => server.once("exit", done));
      if (server.exitCode === null && server.kill("SIGKILL")) await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function answering(server: ChildProcess, port: number): Promise<void> {
  const end = performance.now() + 30_000;
  for (;;) {
    try {
      const connection = await mysql.createConnection({ host: "127.0.0.1", port, user: "root" });
      await connection.query("CREATE DATABASE shop");
      await connection.end();
      return;
    } catch (error) {
      if (server.exitCode !== null || performance.now() > end) throw error;
      await sleep(50);
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const server = createServer().once("error", failed);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });
}
