// The lockfiles of examples that stand alone: in step with the SDK's package.json, and free of any registry's address.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const json = async (...path: string[]) => JSON.parse(await readFile(join(root, ...path), "utf8"));

test("the lockfile of an example that uses the SDK holds the SDK as it is now; else run `node scripts/lock-example.ts examples/NAME`", async () => {
  const sdk = await json("sdk/package.json");
  for (const example of await readdir(join(root, "examples"))) {
    const manifest = await json("examples", example, "package.json");
    if (manifest.dependencies?.["@tsdev/sdk"] === undefined) continue;
    const { packages } = await json("examples", example, "package-lock.json");
    expect(packages[""].dependencies).toEqual(manifest.dependencies);
    expect(packages[""].devDependencies).toEqual(manifest.devDependencies);
    const locked = packages["node_modules/@tsdev/sdk"];
    expect({ version: locked.version, dependencies: locked.dependencies }).toEqual({
      version: sdk.version,
      dependencies: sdk.dependencies,
    });
    expect(locked.integrity, "the SDK's digest changes with every build").toBeUndefined();
    expect(Object.keys(packages).filter((path) => packages[path].resolved !== undefined)).toEqual([]);
  }
});
