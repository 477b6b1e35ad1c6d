// init: makes a folder deployable; detects what is there, writes the few lines that are missing and says which.
import { access, readFile, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { TsdevError } from "../../sdk/errors.ts";
import { print, table } from "../output.ts";

/** Where an app's entry is looked for. */
export const entries = [
  "src/main.ts",
  "src/server.ts",
  "src/index.ts",
  "main.ts",
  "server.ts",
  "index.ts",
  "src/main.js",
  "src/server.js",
  "src/index.js",
  "server.mjs",
  "server.js",
  "main.js",
  "index.js",
];
const lockfiles: Record<string, string> = { "package-lock.json": "npm", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn" };

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

interface Detected {
  name: string;
  node: string | null;
  packageManager: string;
  build: string | null;
  start: string;
}

export async function init(dir: string, flags: { json: boolean }): Promise<void> {
  const folder = resolve(dir);
  if (!(await exists(folder))) {
    throw new TsdevError("not_found", {
      message: `there is no folder ${folder}`,
      fix: "make it first, with the app inside",
      path: "dir",
    });
  }
  const created: string[] = [];
  const path = join(folder, "package.json");
  const text = await readFile(path, "utf8").catch(() => null);
  let manifest: {
    name?: string;
    scripts?: Record<string, string>;
    engines?: { node?: string };
    [key: string]: unknown;
  };
  try {
    manifest =
      text === null
        ? { name: basename(folder).toLowerCase(), version: "1.0.0", private: true, type: "module" }
        : JSON.parse(text);
  } catch (cause) {
    throw new TsdevError("not_deployable", {
      message: `${path} is not JSON`,
      fix: "correct it and run this again",
      cause,
    });
  }
  if (!manifest.scripts?.start) {
    const entry = await firstThatExists(folder, entries);
    if (!entry) {
      throw new TsdevError("not_deployable", {
        message: `no start script, and none of ${entries.slice(0, 5).join(", ")} … is there`,
        fix: 'add "start" to the scripts of package.json, for example "node src/main.ts", with an app that listens on process.env.PORT',
      });
    }
    manifest.scripts = { ...manifest.scripts, start: `node ${entry}` };
    await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`);
    created.push(text === null ? "package.json" : "package.json: scripts.start");
  }
  const ignorePath = join(folder, ".gitignore");
  const ignore = await readFile(ignorePath, "utf8").catch(() => "");
  const missing = ["node_modules/", ".tsdev/"].filter(
    (line) => !ignore.split("\n").some((known) => known.trim().replace(/\/$/, "") === line.replace(/\/$/, "")),
  );
  if (missing.length > 0) {
    await writeFile(
      ignorePath,
      `${ignore}${ignore === "" || ignore.endsWith("\n") ? "" : "\n"}${missing.join("\n")}\n`,
    );
    created.push(`.gitignore: ${missing.join(", ")}`);
  }
  const lock = await firstThatExists(folder, Object.keys(lockfiles));
  const detected: Detected = {
    name: manifest.name ?? basename(folder),
    node: manifest.engines?.node ?? null,
    packageManager: lock ? (lockfiles[lock] ?? "npm") : "npm",
    build: manifest.scripts?.build ?? null,
    start: manifest.scripts?.start ?? "",
  };
  print({ created, detected }, flags, () =>
    [
      table(
        ["detected", ""],
        Object.entries(detected).map(([key, value]) => [key, value ?? "none"]),
      ),
      created.length > 0 ? `\nwritten: ${created.join("; ")}` : "\nnothing had to be written",
      `next: npx tsdev deploy ${dir}`,
    ].join("\n"),
  );
}

async function firstThatExists(folder: string, names: string[]): Promise<string | undefined> {
  for (const name of names) if (await exists(join(folder, name))) return name;
  return undefined;
}
