// Fixture: apps of other languages and the OpenTelemetry Collector, each built once per machine from its pinned files.
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "tsdev");

/** False where the language is missing, which is then said. With TSDEV_REQUIRE_SERVERS=1 that is an error. */
export async function hasProgram(program: string, args: string[], what: string): Promise<boolean> {
  try {
    await run(program, args);
    return true;
  } catch (cause) {
    const reason = `there is no ${program} to run ${what} with`;
    if (process.env.TSDEV_REQUIRE_SERVERS === "1") throw new Error(reason, { cause });
    process.stdout.write(`tests of ${what} are skipped: ${reason}\n`);
    return false;
  }
}

/** A folder of `__fixtures__` as `make` leaves it behind, made again when one of its files changes. */
export async function made(
  name: string,
  make: (folder: string) => Promise<unknown>,
  source = join(import.meta.dirname, "__fixtures__", name),
): Promise<string> {
  const hash = createHash("sha256");
  for (const file of (await readdir(source)).sort()) hash.update(file).update(await readFile(join(source, file)));
  const folder = join(cache, `otel-${name}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(join(folder, "made"))) return folder;
  await mkdir(cache, { recursive: true });
  const building = await mkdtemp(join(cache, `building-${name}-`));
  await cp(source, building, { recursive: true });
  await make(building);
  await writeFile(join(building, "made"), "");
  // Another process may have been faster.
  await rename(building, folder).catch(() => rm(building, { recursive: true, force: true }));
  return folder;
}

export function goBuild(folder: string): Promise<unknown> {
  const env = { ...process.env, GOFLAGS: "-buildvcs=false -mod=readonly", CGO_ENABLED: "0" };
  return run("go", ["build", "-ldflags", "-s -w", "-o", "server", "."], { cwd: folder, env });
}

export interface Ran {
  code: number | null;
  output: string;
  errors: string;
}

/** Runs a program to its end with this environment beside the own. */
export function ranWith(program: string, args: string[], env: Record<string, string>, cwd?: string): Promise<Ran> {
  return new Promise((settle, fail) => {
    const child = spawn(program, args, { env: { ...process.env, ...env }, ...(cwd === undefined ? {} : { cwd }) });
    const ran: Ran = { code: null, output: "", errors: "" };
    child.stdout.on("data", (chunk) => {
      ran.output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      ran.errors += chunk;
    });
    child.once("error", fail);
    child.once("close", (code) => settle({ ...ran, code }));
  });
}

export async function runGoApp(env: Record<string, string>): Promise<Ran> {
  return ranWith(join(await made("go-app", goBuild), "server"), [], env);
}

export async function runPythonApp(env: Record<string, string>): Promise<Ran> {
  const folder = await made("python-app", (building) =>
    // Packages go into a folder and not into an environment, whose paths would be those before the rename.
    run("python3", ["-m", "pip", "install", "-q", "--target", join(building, "packages"), "-r", "requirements.txt"], {
      cwd: building,
    }),
  );
  return ranWith("python3", [join(folder, "main.py")], { PYTHONPATH: join(folder, "packages"), ...env });
}

export interface Collector {
  http: string;
  grpc: string;
  pid: number;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A Collector that passes on all it receives by `exporter`, a part of its configuration in YAML; on a free port or this one. */
export async function startCollector(exporter: string, httpPort?: number): Promise<Collector> {
  const program = join(await made("collector", goBuild), "server");
  const folder = await mkdtemp(join(tmpdir(), "tsdev-collector-"));
  const [http, grpc] = [httpPort ?? (await freePort()), await freePort()];
  const name = exporter.trim().split(":")[0];
  const config = `
receivers:
  otlp:
    protocols:
      http: { endpoint: 127.0.0.1:${http} }
      grpc: { endpoint: 127.0.0.1:${grpc} }
exporters:
${exporter.replace(/^/gm, "  ")}
service:
  telemetry: { metrics: { level: none } }
  pipelines:
${["traces", "logs", "metrics"].map((signal) => `    ${signal}: { receivers: [otlp], exporters: [${name}] }`).join("\n")}
`;
  await writeFile(join(folder, "config.yaml"), config);
  const child = spawn(program, [`--config=file:${join(folder, "config.yaml")}`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let output = "";
  const ended = new Promise<void>((done) => child.once("close", () => done()));
  await new Promise<void>((ready, failed) => {
    child.stderr.on("data", (chunk) => {
      output += chunk;
      if (output.includes("Everything is ready")) ready();
    });
    child.once("error", failed);
    child.once("close", (code) => failed(new Error(`the Collector ended with ${code}: ${output}`)));
  });
  return {
    http: `http://127.0.0.1:${http}`,
    grpc: `http://127.0.0.1:${grpc}`,
    pid: child.pid!,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((settle) => server.once("listening", settle));
  const address = server.address();
  await new Promise((settle) => server.close(settle));
  return typeof address === "object" && address !== null ? address.port : 0;
}
