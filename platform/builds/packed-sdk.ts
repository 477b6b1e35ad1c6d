// Packed SDK: `@tsdev/sdk` of this platform as an npm package, which builds get from the platform's own npm endpoint.
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { TsdevError } from "../../sdk/errors.ts";

const workPrefix = "packing-";

export interface PackedSdk {
  tarballPath: string;
  version: string;
  /** SHA-256 of the tarball, hexadecimal: part of the dependency cache's key. */
  digest: string;
}

/** Packs the SDK's folder into `directory`; the tarball of the same content has the same bytes. */
export async function packSdk(parts: { sdkFolder: string; directory: string; nodeFolder: string }): Promise<PackedSdk> {
  const { sdkFolder, directory, nodeFolder } = parts;
  // what killed control planes left; only one at a time has the directory
  for (const name of await readdir(directory).catch(() => [])) {
    if (name.startsWith(workPrefix)) await rm(join(directory, name), { recursive: true, force: true });
  }
  const work = join(directory, `${workPrefix}${process.pid}`);
  await mkdir(work, { recursive: true });
  try {
    await execa("npm", ["pack", "--ignore-scripts", "--pack-destination", work], {
      cwd: sdkFolder,
      env: { PATH: `${nodeFolder}:${process.env.PATH ?? ""}` },
    });
  } catch (cause) {
    throw new TsdevError("internal", {
      message: `the SDK cannot be packed: ${cause instanceof Error ? cause.message : cause}`,
      fix: "run `npm run build` in the platform's folder first",
      cause,
    });
  }
  const [name] = await readdir(work);
  if (!name)
    throw new TsdevError("internal", { message: "npm pack made no tarball", fix: "run `npm pack` in sdk/ to see why" });
  const tarball = await readFile(join(work, name));
  const digest = createHash("sha256").update(tarball).digest("hex");
  const tarballPath = join(directory, `tsdev-sdk-${digest.slice(0, 16)}.tgz`);
  await rename(join(work, name), tarballPath);
  await rm(work, { recursive: true, force: true });
  const { version } = JSON.parse(await readFile(join(sdkFolder, "package.json"), "utf8")) as { version: string };
  return { tarballPath, version, digest };
}
