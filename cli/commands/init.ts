// init: writes a small app into an empty folder, or makes an app deployable; says what it detected and wrote.
import { access, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { TsdevError } from "../../sdk/errors.ts";
import { writeFreshApp } from "../init/write-fresh-app.ts";
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
  const fresh = await isEmpty(folder);
  const created: string[] = fresh ? await writeFreshApp(folder) : [];
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
      fresh ? `next: cd ${dir} && npm install && npm run dev` : `next: npx tsdev deploy ${dir}`,
    ].join("\n"),
  );
}

/** Also where there is no folder yet. A repository without a file is empty. Throws `invalid_input` for a file. */
async function isEmpty(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).every((name) => name === ".git");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw new TsdevError("invalid_input", {
      message: `${folder} cannot be read as a folder`,
      fix: "give the folder of an app, or one that is not there yet",
      path: "dir",
      cause,
    });
  }
}

async function firstThatExists(folder: string, names: string[]): Promise<string | undefined> {
  for (const name of names) if (await exists(join(folder, name))) return name;
  return undefined;
}
