// Fixture: a server that speaks MongoDB's protocol for tests, FerretDB on SQLite, built once per machine by Go.
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const run = promisify(execFile);
const version = "v1.24.2";
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tsdev", `ferretdb-${version}`);
const binary = join(cache, "server");

// FerretDB's own program refuses to start when it was not built from a checkout; its package does not.
const program = `package main

import (
	"context"
	"fmt"
	"os"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:   "sqlite",
		SQLiteURL: "file:" + os.Args[1] + "/",
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(server.MongoDBURI())
	if err := server.Run(context.Background()); err != nil {
		panic(err)
	}
}
`;

export interface MongoFixture {
  readonly url: string;
  stop(): Promise<void>;
}

/** False where there is no Go, which is then said once. With TSDEV_REQUIRE_SERVERS=1 that is an error. */
export async function hasMongo(): Promise<boolean> {
  try {
    if (!existsSync(binary)) await run("go", ["version"]);
    return true;
  } catch (cause) {
    const reason = "there is no go to build FerretDB with";
    if (process.env.TSDEV_REQUIRE_SERVERS === "1") throw new Error(reason, { cause });
    process.stdout.write(`tests of MongoDB are skipped: ${reason}\n`);
    return false;
  }
}

/** Takes about a minute where it was never built before. */
async function built(): Promise<string> {
  if (existsSync(binary)) return binary;
  const folder = await mkdtemp(join(tmpdir(), "tsdev-ferretdb-"));
  const options = { cwd: folder, env: { ...process.env, GOFLAGS: "-buildvcs=false", CGO_ENABLED: "0" } };
  await writeFile(join(folder, "main.go"), program);
  await run("go", ["mod", "init", "tsdev.local/server"], options);
  await run("go", ["get", `github.com/FerretDB/FerretDB/ferretdb@${version}`], options);
  await run("go", ["build", "-o", "server", "."], options);
  await mkdir(cache, { recursive: true });
  await rename(join(folder, "server"), binary).catch(() => run("cp", [join(folder, "server"), binary]));
  await rm(folder, { recursive: true, force: true });
  return binary;
}

export async function startMongo(): Promise<MongoFixture> {
  const program = await built();
  const folder = await mkdtemp(join(tmpdir(), "tsdev-mongo-"));
  const server = spawn(program, [folder], { cwd: folder, stdio: ["ignore", "pipe", "ignore"] });
  const lines = createInterface(server.stdout);
  const url = await new Promise<string>((done, failed) => {
    lines.on("line", (line) => {
      if (line.startsWith("mongodb://")) done(line);
    });
    server.once("exit", (code) => failed(new Error(`FerretDB ended with ${code}`)));
  });
  return {
    url,
    stop: async () => {
      const ended = new Promise((done) => server.once("exit", done));
      if (server.exitCode === null && server.kill("SIGKILL")) await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
