// Writes a small app on the SDK into a folder that holds nothing yet, with the SDK itself packed in `vendor/`.
import { execFile } from "node:child_process";
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { TsdevError } from "../../sdk/errors.ts";

const run = promisify(execFile);
const template = fileURLToPath(new URL("app/", import.meta.url));
const sdk = fileURLToPath(new URL("../../sdk/", import.meta.url));

/** Answers the files that were written, relative to the folder. Throws `unavailable` where the SDK is not built. */
export async function writeFreshApp(folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const tarball = await packSdk(join(folder, "vendor"));
  const files = (await readdir(template, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && !/[\\/]node_modules[\\/]/.test(entry.parentPath))
    .map((entry) => relative(template, join(entry.parentPath, entry.name)))
    // Last: a folder with a package.json is an app.
    .toSorted((a, b) => Number(a === "package.json") - Number(b === "package.json") || a.localeCompare(b));
  for (const file of files) {
    const text = await readFile(join(template, file), "utf8");
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), file === "package.json" ? manifest(text, folder, tarball) : text);
  }
  return [...files, `vendor/${tarball}`];
}

/** A `file:` dependency, because the SDK is on no public registry; it installs here and where the app is built alike. */
function manifest(text: string, folder: string, tarball: string): string {
  const parsed = JSON.parse(text) as { name: string; dependencies: Record<string, string> };
  parsed.name =
    basename(folder)
      .toLowerCase()
      .replace(/[^a-z0-9-]+/g, "-")
      .replace(/^-+|-+$/g, "") || parsed.name;
  parsed.dependencies["@tsdev/sdk"] = `file:vendor/${tarball}`;
  return `${JSON.stringify(parsed, null, 2)}\n`;
}

async function packSdk(into: string): Promise<string> {
  const built = await access(join(sdk, "dist/index.js")).then(
    () => true,
    () => false,
  );
  if (!built) {
    throw new TsdevError("unavailable", {
      message: "@tsdev/sdk is not built in this checkout, and the app needs it",
      fix: "run `npm run build` in the folder of tsdev, then this again",
    });
  }
  await mkdir(into, { recursive: true });
  const scratch = await mkdtemp(join(into, ".pack-"));
  try {
    // Without the hooks: packing must not build again what is being used.
    await run("npm", ["pack", "--ignore-scripts", "--pack-destination", scratch], { cwd: sdk });
    const [tarball] = await readdir(scratch);
    await rename(join(scratch, tarball!), join(into, tarball!));
    return tarball!;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
