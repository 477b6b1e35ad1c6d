// Writes the package-lock.json that an example has when it stands alone: `node scripts/lock-example.ts examples/shop`.
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { promisify } from "node:util";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { sdkPackage, sdkRegistry } from "../platform/builds/sdk-registry.ts";

interface Lock {
  packages: Record<string, { resolved?: string; integrity?: string; name?: string }>;
}

const run = promisify(execFile);
const root = resolve(import.meta.dirname, "..");
const example = process.argv[2];
if (!example) {
  console.error("which example? Use: node scripts/lock-example.ts examples/shop");
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), "tsdev-lock-"));
try {
  // Only the SDK's name, version and dependencies reach a lockfile, so it need not be built.
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: join(root, "sdk"),
  });
  const [packed] = Object.values(JSON.parse(stdout)) as [{ filename: string }];
  const { version, dependencies, engines } = JSON.parse(await readFile(join(root, "sdk/package.json"), "utf8"));
  const tarballPath = join(folder, basename(packed.filename));

  const app = new Hono().route("/npm", sdkRegistry({ tarballPath, version, dependencies, engines }));
  const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 });
  try {
    if (!server.listening) await new Promise((listening) => server.once("listening", listening));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/npm/`;
    const alone = join(folder, "alone");
    await cp(resolve(root, example), alone, {
      recursive: true,
      filter: (source) => !["node_modules", "package-lock.json"].includes(basename(source)),
    });
    await run("npm", ["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"], {
      cwd: alone,
      env: { ...process.env, "npm_config_@tsdev:registry": url, npm_config_omit_lockfile_registry_resolved: "true" },
    });

    const lock = JSON.parse(await readFile(join(alone, "package-lock.json"), "utf8")) as Lock;
    for (const [path, entry] of Object.entries(lock.packages)) {
      delete entry.resolved;
      if (path.endsWith(`node_modules/${sdkPackage}`)) delete entry.integrity;
    }
    await writeFile(resolve(root, example, "package-lock.json"), `${JSON.stringify(lock, null, 2)}\n`);
    console.log(`${example}/package-lock.json: ${Object.keys(lock.packages).length - 1} packages`);
  } finally {
    server.close();
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
