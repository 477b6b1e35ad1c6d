// Embedded Postgres: a server of its own on a data directory, which outlives this process and is adopted by the next.
//
// Invariants:
// 1. `data/` is whole: initdb works in a folder of its own that is renamed when it is done.
// 2. One server runs on `data/`. Postgres itself holds that with postmaster.pid; a number that went to another process
//    is told apart by looking at the process.
// 3. Port and password stay the same over restarts, because deployed apps hold the address.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomInt } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { TsdevError } from "../../sdk/errors.ts";
import { findPostgresBinaries, giveAway, type PostgresUser, postgresUser } from "./postgres-binaries.ts";
import { hasProcesses, isAlive, isPostgresOn, type PidFile, readPidFile } from "./postgres-process.ts";
import { directoryError, diskFull, keptSecret } from "./private-file.ts";

export interface EmbeddedPostgres {
  /** The control plane's own database, as superuser, over TCP. */
  url: string;
  /** The maintenance database `postgres`, as superuser, over TCP: for making roles and databases. */
  adminUrl: string;
  /** Folder of the unix socket; the host name for clients that want one. */
  socketDirectory: string;
  /** The server's process. */
  pid: number;
  /** True where this call started the server, false where it ran already. */
  started: boolean;
  /** Ends the server (fast shutdown: open transactions are rolled back) and waits until it is gone. */
  stop(): Promise<void>;
}

/** Longest path of a unix socket, with its end. */
const socketPathLimit = 107;
/** Crash recovery of a large database takes a while; a server that is alive is waited for. */
const startLimitMs = 120_000;

const settings: Record<string, string> = {
  listen_addresses: "127.0.0.1",
  max_connections: "200",
  // Apps share the server: the control plane connects as superuser and always gets in.
  superuser_reserved_connections: "40",
  shared_buffers: "128MB",
  synchronous_commit: "on",
  password_encryption: "scram-sha-256",
  // Proofs compare the rows that a request wrote by logical decoding.
  wal_level: "logical",
  max_replication_slots: "20",
  max_wal_senders: "20",
  max_slot_wal_keep_size: "2GB",
  log_checkpoints: "off",
  log_min_messages: "warning",
  timezone: "UTC",
  log_timezone: "UTC",
};

/**
 * Makes sure that a server runs on `directory` and answers: adopts a running one, starts one that is not (which recovers
 * from a crash), and creates it the first time. Safe to call again, also after this process was killed in the middle.
 *
 * Throws `data_directory_unwritable` when the directory is read-only, full or another user's, `unavailable` when the
 * server does not start, `canceled` on the signal.
 */
export async function openEmbeddedPostgres(options: {
  directory: string;
  signal?: AbortSignal;
}): Promise<EmbeddedPostgres> {
  const { signal } = options;
  const directory = resolve(options.directory);
  const data = join(directory, "data");
  const password = await prepare(directory);
  const deadline = Date.now() + startLimitMs;
  let failures = 0;
  let started = false;
  for (;;) {
    if (signal?.aborted) throw canceled();
    const found = await readPidFile(data);
    if (found !== null && (await isPostgresOn(found.pid, data))) {
      if (await answers(found, password)) return handle(found, data, password, started);
    } else if (!(await exists(join(data, "PG_VERSION")))) {
      await initialise(directory, data);
      continue;
    } else if (!(await hasProcesses(data))) {
      if (found !== null) await discardForeignPidFile(data, found.pid);
      const problem = await start(directory, data, password, signal);
      started = problem === null;
      if (problem === null) continue;
      if (!problem.again || ++failures >= 10) throw problem.error;
    }
    if (Date.now() > deadline) {
      throw new TsdevError("unavailable", {
        message: `Postgres on ${data} did not answer within ${startLimitMs / 1000} s`,
        fix: `look at ${join(directory, "server.log")}`,
      });
    }
    await delay(50);
  }
}

/** Makes the directory, clears what a killed initdb left, and answers the server's password. */
async function prepare(directory: string): Promise<string> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) {
      const pid = /^init-(\d+)-/.exec(name)?.[1];
      if (pid !== undefined && Number(pid) !== process.pid && !(await isAlive(Number(pid)))) {
        // A killed process's initdb may still write there; what cannot be removed now goes next time.
        await rm(join(directory, name), { recursive: true, force: true }).catch(() => {});
      }
    }
    return await keptSecret(join(directory, "password"));
  } catch (error) {
    throw directoryError(directory, error);
  }
}

async function initialise(directory: string, data: string): Promise<void> {
  const { initdb } = await findPostgresBinaries();
  const user = await postgresUser(data);
  const work = join(directory, `init-${process.pid}-${randomInt(2 ** 32)}`);
  try {
    await mkdir(work, { mode: 0o700 });
    await writeFile(join(work, "password"), await readFile(join(directory, "password")), { mode: 0o600 });
    await giveAway(directory, user);
    const log = await open(join(directory, "server.log"), "a", 0o600);
    const from = (await log.stat()).size;
    const code = await new Promise<number | null>((settle, fail) => {
      const child = run(user, initdb, initdbArguments(work), log.fd);
      child.once("error", fail);
      child.once("exit", settle);
    }).finally(() => log.close());
    if (code !== 0) throw serverError(directory, "initdb failed", await logFrom(directory, from)).error;
    await rename(join(work, "data"), data).catch((error: NodeJS.ErrnoException) => {
      // Another process was faster; its folder is as good.
      if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error;
    });
  } catch (error) {
    throw directoryError(directory, error);
  } finally {
    await rm(work, { recursive: true, force: true }).catch(() => {});
  }
}

function initdbArguments(work: string): string[] {
  return [
    `--pgdata=${join(work, "data")}`,
    `--pwfile=${join(work, "password")}`,
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // The same order of text on every machine, whatever locales it has.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
  ];
}

interface Problem {
  error: TsdevError;
  /** Whether a repeat can help: another start was faster, or the port was taken in between. */
  again: boolean;
}

/** Starts the server in a session of its own and waits until it answers or ends. Null when it answers. */
async function start(
  directory: string,
  data: string,
  password: string,
  signal: AbortSignal | undefined,
): Promise<Problem | null> {
  const { postgres } = await findPostgresBinaries();
  const user = await postgresUser(data);
  let child: ChildProcess;
  let from: number;
  try {
    await giveAway(data, user);
    const port = await choosePort(directory);
    const sockets = await socketDirectory(directory, user);
    const flags = { ...settings, port: String(port), unix_socket_directories: sockets };
    const log = await open(join(directory, "server.log"), "a", 0o600);
    from = (await log.stat()).size;
    child = run(
      user,
      postgres,
      ["-D", data, ...Object.entries(flags).flatMap(([k, v]) => ["-c", `${k}=${v}`])],
      log.fd,
    );
    await log.close();
  } catch (error) {
    throw directoryError(directory, error);
  }
  let ended = false;
  child.once("exit", () => {
    ended = true;
  });
  child.once("error", () => {
    ended = true;
  });
  child.unref();
  const deadline = Date.now() + startLimitMs;
  while (!ended && Date.now() < deadline) {
    // An aborted start leaves the server coming up: the next open adopts it.
    if (signal?.aborted) throw canceled();
    const found = await readPidFile(data);
    if (found?.pid === child.pid && (await answers(found!, password))) return null;
    await delay(30);
  }
  const problem = serverError(directory, "Postgres ended while it was starting", await logFrom(directory, from));
  if (/could not bind|Address already in use/.test(problem.error.message)) {
    await rm(join(directory, "port"), { force: true });
  }
  return problem;
}

function run(user: PostgresUser, binary: string, args: string[], log: number): ChildProcess {
  const command = [...user.prefix, binary, ...args];
  return spawn(command[0]!, command.slice(1), {
    cwd: "/",
    // A session of its own and a file for output: nothing of it ends or blocks with this process.
    detached: true,
    stdio: ["ignore", log, log],
    env: { PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: "UTC", TMPDIR: tmpdir() },
    ...(user.uid === undefined ? {} : { uid: user.uid, gid: user.gid }),
  });
}

/** True when the server lets us in; false while it is not ready. Makes the control plane's database the first time. */
async function answers(found: PidFile, password: string): Promise<boolean> {
  const client = new pg.Client({
    connectionString: address(found.port, password, "postgres"),
    connectionTimeoutMillis: 5_000,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query("SELECT 1 FROM pg_database WHERE datname = 'tsdev'");
    if (rows.length === 0) {
      await client.query("CREATE DATABASE tsdev").catch((error: { code?: string }) => {
        if (error.code !== "42P04" && error.code !== "23505") throw error;
      });
    }
    // The roles of apps see their own databases only.
    await client.query("REVOKE CONNECT, TEMPORARY ON DATABASE tsdev, postgres, template1 FROM PUBLIC");
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "28P01") {
      throw new TsdevError("unavailable", {
        message: "the Postgres on the data directory does not accept the password kept beside it",
        fix: "restore the file `password` that belongs to this data directory",
        cause: error,
      });
    }
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

function handle(found: PidFile, data: string, password: string, started: boolean): EmbeddedPostgres {
  return {
    url: address(found.port, password, "tsdev"),
    adminUrl: address(found.port, password, "postgres"),
    socketDirectory: found.socketDirectory,
    pid: found.pid,
    started,
    async stop() {
      const current = await readPidFile(data);
      if (current === null || !(await isPostgresOn(current.pid, data))) return;
      process.kill(current.pid, "SIGINT");
      for (let waited = 0; await isAlive(current.pid); waited += 20) {
        // Immediate shutdown: the next start recovers from the log, as after a crash.
        if (waited === 30_000) process.kill(current.pid, "SIGQUIT");
        await delay(20);
      }
    },
  };
}

function address(port: number, password: string, database: string): string {
  return `postgresql://postgres:${password}@127.0.0.1:${port}/${database}`;
}

/** The port kept in the directory while it is free; else one below the range that systems give to outgoing connections. */
async function choosePort(directory: string): Promise<number> {
  const file = join(directory, "port");
  const kept = Number(await readFile(file, "utf8").catch(() => ""));
  if (kept > 0 && (await isFree(kept))) return kept;
  for (;;) {
    const port = randomInt(20_000, 30_000);
    if (!(await isFree(port))) continue;
    await writeFile(file, `${port}\n`);
    return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const server = createServer();
    server.once("error", () => settle(false));
    server.listen(port, "127.0.0.1", () => server.close(() => settle(true)));
  });
}

/** A folder whose sockets fit the limit of the path's length: beside the data, else a private one for temporary files. */
async function socketDirectory(directory: string, user: PostgresUser): Promise<string> {
  const beside = join(directory, "socket");
  const fits = Buffer.byteLength(join(beside, ".s.PGSQL.65535.lock")) <= socketPathLimit;
  const hash = createHash("sha256").update(directory).digest("hex").slice(0, 12);
  const folder = fits ? beside : join(tmpdir(), `tsdev-pg-${hash}`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const owner = (await stat(folder)).uid;
  if (owner !== process.getuid?.() && owner !== user.uid) {
    throw new TsdevError("unavailable", {
      message: `${folder}, which Postgres needs for its socket, belongs to another user`,
      fix: "remove it, or use a data directory with a shorter path",
    });
  }
  await giveAway(folder, user);
  return folder;
}

/** Removes a pid file whose number went to a process that is not Postgres: Postgres itself would refuse to start. */
async function discardForeignPidFile(data: string, pid: number): Promise<void> {
  if (!(await isAlive(pid))) return;
  if ((await readPidFile(data))?.pid === pid) await rm(join(data, "postmaster.pid"), { force: true });
}

function serverError(directory: string, what: string, log: string): Problem {
  const lines = log.trim().split("\n").slice(-8).join("\n");
  if (diskFull.test(log) || /Read-only file system|Permission denied/.test(log)) {
    return { again: false, error: directoryError(directory, new Error(log)) };
  }
  const again =
    /lock file "[^"]*" already exists|pre-existing shared memory block|could not bind|Address already in use/.test(log);
  const error = new TsdevError("unavailable", {
    message: `${what}: ${lines || "it printed nothing"}`,
    fix: `look at ${join(directory, "server.log")}; with missing libraries, run \`npm rebuild\``,
  });
  return { again, error };
}

async function logFrom(directory: string, offset: number): Promise<string> {
  const text = await readFile(join(directory, "server.log")).catch(() => Buffer.alloc(0));
  return text.subarray(offset).toString("utf8");
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function canceled(): TsdevError {
  return new TsdevError("canceled", { message: "opening Postgres was canceled", fix: "start again" });
}
