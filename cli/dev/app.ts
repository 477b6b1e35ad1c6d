// App: what `tsdev dev` has to know of a folder: its entry, the flags of its Node, its variables and its configuration.
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseEnv } from "node:util";
import { type AppConfig, parseConfig } from "../../sdk/config.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { entries } from "../commands/init.ts";

export interface DevApp {
  readonly folder: string;
  readonly name: string;
  /** The file that is loaded, absolute. */
  readonly entry: string;
  readonly nodeFlags: readonly string[];
  readonly arguments: readonly string[];
  /** Of `.env`; what the shell has set stands in its place. */
  readonly variables: Readonly<Record<string, string>>;
  readonly config: AppConfig;
}

interface Manifest {
  name?: string;
  scripts?: Record<string, string>;
  tsdev?: unknown;
}

/** Throws `not_deployable` where nothing can be started, and `invalid_config`. */
export async function readApp(dir: string): Promise<DevApp> {
  const folder = resolve(dir);
  const manifest = readManifest(folder);
  const config = await readConfig(folder, manifest);
  const started = startOf(config.start ?? manifest.scripts?.start ?? "");
  const built = manifest.scripts?.build !== undefined && /^(\.\/)?(dist|build|out|lib)\//.test(started?.file ?? "");
  const file =
    started && !built && existsSync(join(folder, started.file))
      ? started.file
      : entries.find((one) => existsSync(join(folder, one)));
  if (file === undefined) {
    throw new TsdevError("not_deployable", {
      message: `no entry in ${folder}: the start script names no file of it, and none of ${entries.slice(0, 5).join(", ")} … is there`,
      fix: 'let the start script be `node FILE`, for example "start": "node src/main.ts"',
    });
  }
  return {
    folder,
    name: config.name ?? manifest.name ?? "app",
    entry: join(folder, file),
    nodeFlags: started?.flags ?? [],
    arguments: started?.rest ?? [],
    variables: readVariables(folder),
    config,
  };
}

/** `node --flag src/main.ts --x` as its parts; null for any other command. */
function startOf(command: string): { flags: string[]; file: string; rest: string[] } | null {
  const [program, ...words] = command.trim().split(/\s+/);
  if (program !== "node" || /[;&|<>$"'`]/.test(command)) return null;
  const at = words.findIndex((word) => !word.startsWith("-"));
  const file = words[at];
  return file === undefined ? null : { flags: words.slice(0, at), file, rest: words.slice(at + 1) };
}

function readManifest(folder: string): Manifest {
  const path = join(folder, "package.json");
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Manifest;
  } catch (cause) {
    throw new TsdevError("not_deployable", { message: `${path} is not JSON`, fix: "correct it", cause });
  }
}

async function readConfig(folder: string, manifest: Manifest): Promise<AppConfig> {
  for (const name of ["tsdev.config.ts", "tsdev.config.js", "tsdev.config.mjs"]) {
    const path = join(folder, name);
    if (!existsSync(path)) continue;
    // A query, so that a later reading sees a later file.
    const module = (await import(`${pathToFileURL(path).href}?at=${Date.now()}`)) as { default?: unknown };
    return parseConfig(module.default ?? {});
  }
  return parseConfig(manifest.tsdev ?? {});
}

function readVariables(folder: string): Record<string, string> {
  const path = join(folder, ".env");
  if (!existsSync(path)) return {};
  return Object.fromEntries(
    Object.entries(parseEnv(readFileSync(path, "utf8"))).filter(
      (pair): pair is [string, string] => pair[1] !== undefined,
    ),
  );
}
