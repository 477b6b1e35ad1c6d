// Checks: the app's own type check and tests at the patched commit.
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { basicEnvironment } from "./boot.ts";
import type { Proof } from "./proof.ts";
import type { ProofDependencies, ProofRequest } from "./request.ts";

export type Check = Proof["checks"][number];

const limitMs = 120_000;
const keptOutput = 4_000;
/** What `npm init` writes where there are no tests. */
const noTests = /no test specified/;

/** The script of the patched version; null when it has none. */
export async function readScript(folder: string, name: string): Promise<string | null> {
  const text = await readFile(join(folder, "package.json"), "utf8").catch(() => "{}");
  const { scripts } = JSON.parse(text) as { scripts?: Record<string, string> };
  const script = scripts?.[name];
  return script === undefined || noTests.test(script) ? null : script;
}

/** Runs one script in the patched version's folder; its environment has no secrets, and proxies that lead nowhere. */
export async function runCheck(
  name: string,
  script: string,
  databaseUrl: string | null,
  request: ProofRequest,
  dependencies: ProofDependencies,
): Promise<Check> {
  const { folder } = request.patch;
  const home = join(dependencies.directory, `home-${name}`);
  await mkdir(home, { recursive: true });
  const nowhere = "http://127.0.0.1:9";
  const { NODE_ENV: _production, ...basic } = basicEnvironment(dependencies, folder, home);
  const env: Record<string, string> = {
    ...basic,
    ...request.env,
    CI: "1",
    NO_COLOR: "1",
    HTTP_PROXY: nowhere,
    HTTPS_PROXY: nowhere,
    NO_PROXY: "localhost,127.0.0.1,::1",
    NODE_USE_ENV_PROXY: "1",
    npm_config_offline: "true",
    OTEL_SDK_DISABLED: "true",
  };
  if (databaseUrl !== null) env.DATABASE_URL = databaseUrl;
  const started = performance.now();
  const logFile = join(dependencies.directory, `check-${name}.log`);
  const log = openSync(logFile, "a", 0o600);
  const check = dependencies.spawn("sh", ["-c", script], { cwd: folder, env, stdio: ["ignore", log, log] });
  closeSync(log);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    void check.end(1_000);
  }, limitMs);
  const stop = () => void check.end(1_000);
  dependencies.signal.addEventListener("abort", stop, { once: true });
  const { code } = await check.ended.finally(() => {
    clearTimeout(timer);
    dependencies.signal.removeEventListener("abort", stop);
  });
  const output = await readFile(logFile, "utf8").catch(() => "");
  return {
    name,
    passed: code === 0 && !timedOut,
    seconds: Math.round((performance.now() - started) / 100) / 10,
    output: (timedOut ? `stopped after ${limitMs / 1_000} s\n` : "") + output.slice(-keptOutput),
  };
}
