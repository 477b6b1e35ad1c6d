// Dependencies: installed once per lockfile, kept by digest, linked into every release that wants the same.
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { access, cp, lstat, mkdir, realpath, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { BuildCommands } from "./build-commands.ts";
import { type Detected, installCommand } from "./detect.ts";
import { outOfStep } from "./out-of-step.ts";

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/**
 * Puts `node_modules` into the folder. A folder whose install may differ from another's with the same lockfile
 * (workspaces, file: and link: dependencies, install scripts of its own, no lockfile) is installed by itself.
 */
export async function linkDependencies(parts: {
  folder: string;
  detected: Detected;
  cache: string;
  /** Whose cache it is: install scripts of one organization must not reach into what another runs. */
  owner: string;
  commands: BuildCommands;
  log: (stream: "stdout" | "stderr" | "system", text: string) => Promise<void>;
  signal: AbortSignal;
}): Promise<void> {
  const { folder, detected, commands, log, signal } = parts;
  if (Object.keys(dependenciesOf(detected)).length === 0 && !detected.workspaces) {
    await log("system", "no dependencies");
    return;
  }
  const install = installCommand(detected);
  const runInstall = async () => {
    const output: string[] = [];
    const heard = async (stream: "stdout" | "stderr", text: string) => {
      output.push(text);
      await log(stream, text);
    };
    await commands.run(install, { folder, log: heard, signal, what: "the install" }).catch((error: unknown) => {
      throw outOfStep(output, detected, error) ?? error;
    });
  };
  const modules = join(folder, "node_modules");
  const key = cacheKey(detected, commands.toolchain, parts.owner);
  if (key === null) {
    await log("system", `$ ${install.join(" ")}`);
    await runInstall();
    return;
  }
  const cached = join(parts.cache, "dependencies", key, "node_modules");
  if (await exists(cached)) {
    await log("system", `dependencies from the cache (${key.slice(0, 12)})`);
  } else {
    await log("system", `$ ${install.join(" ")}`);
    await runInstall();
    if (!(await exists(modules))) return;
    await mkdir(join(cached, ".."), { recursive: true });
    await rename(modules, cached).catch((cause: NodeJS.ErrnoException) => {
      // another build with the same lockfile was faster
      if (cause.code !== "ENOTEMPTY" && cause.code !== "EEXIST") throw cause;
    });
    await rm(modules, { recursive: true, force: true });
  }
  await symlink(cached, modules, "dir");
}

/**
 * Gives the folder a `node_modules` of its own where it is a link: build scripts write into it (generated clients, caches),
 * and what other releases link to must stay as it was installed.
 */
export async function ownDependencies(folder: string): Promise<void> {
  const modules = join(folder, "node_modules");
  if (!(await lstat(modules).catch(() => null))?.isSymbolicLink()) return;
  const copy = join(folder, ".tsdev-node_modules");
  await cp(await realpath(modules), copy, {
    recursive: true,
    verbatimSymlinks: true,
    mode: constants.COPYFILE_FICLONE,
  });
  await rm(modules);
  await rename(copy, modules);
}

function dependenciesOf({ packageJson }: Detected): Record<string, string> {
  const { dependencies, devDependencies, optionalDependencies, peerDependencies } = packageJson;
  return { ...peerDependencies, ...optionalDependencies, ...devDependencies, ...dependencies };
}

function cacheKey(detected: Detected, toolchain: string, owner: string): string | null {
  const { packageJson, manager, lockfile } = detected;
  if (!lockfile || detected.workspaces) return null;
  const own = ["preinstall", "install", "postinstall", "prepare"].some((script) => script in packageJson.scripts);
  const all = dependenciesOf(detected);
  const local = Object.values(all).some((range) => /^(file|link|portal|workspace|patch|exec):/.test(range));
  if (own || local) return null;
  return createHash("sha256")
    .update(JSON.stringify([owner, toolchain, manager, packageJson.packageManager ?? null, lockfile.text, all]))
    .digest("hex");
}
