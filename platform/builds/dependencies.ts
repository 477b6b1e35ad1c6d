// Dependencies: installed once per lockfile, kept by digest, linked into every release that wants the same.
import { createHash } from "node:crypto";
import { access, mkdir, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import type { BuildCommands } from "./build-commands.ts";
import { type Detected, installCommand } from "./detect.ts";

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
  commands: BuildCommands;
  log: (stream: "stdout" | "stderr" | "system", text: string) => Promise<void>;
  signal: AbortSignal;
}): Promise<void> {
  const { folder, detected, commands, log, signal } = parts;
  const all = { ...detected.packageJson.dependencies, ...detected.packageJson.devDependencies };
  if (Object.keys(all).length === 0 && !detected.packageJson.workspaces) {
    await log("system", "no dependencies");
    return;
  }
  const install = installCommand(detected);
  const modules = join(folder, "node_modules");
  const key = cacheKey(detected, commands.toolchain);
  if (key === null) {
    await log("system", `$ ${install.join(" ")}`);
    await commands.run(install, { folder, log, signal, what: "the install" });
    return;
  }
  const cached = join(parts.cache, "dependencies", key, "node_modules");
  if (await exists(cached)) {
    await log("system", `dependencies from the cache (${key.slice(0, 12)})`);
  } else {
    await log("system", `$ ${install.join(" ")}`);
    await commands.run(install, { folder, log, signal, what: "the install" });
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

function cacheKey({ packageJson, manager, lockfile }: Detected, toolchain: string): string | null {
  if (!lockfile || packageJson.workspaces) return null;
  const own = ["preinstall", "install", "postinstall", "prepare"].some((script) => script in packageJson.scripts);
  const local = Object.values({ ...packageJson.dependencies, ...packageJson.devDependencies }).some((range) =>
    /^(file|link|portal|workspace):/.test(range),
  );
  if (own || local) return null;
  const { dependencies, devDependencies } = packageJson;
  return createHash("sha256")
    .update(JSON.stringify([toolchain, manager, lockfile.text, dependencies, devDependencies]))
    .digest("hex");
}
