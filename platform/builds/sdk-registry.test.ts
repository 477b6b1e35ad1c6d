// The SDK registry against a real npm: a lockfile without the SDK's address installs from it.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { serve } from "@hono/node-server";
import { Hono } from "hono";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sdkRegistry } from "./sdk-registry.ts";

const run = promisify(execFile);
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tsdev-sdk-registry-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Packs a package of the SDK's name that says `content`. */
async function pack(content: string): Promise<string> {
  const source = join(folder, `sdk-${content}`);
  await mkdir(source);
  await writeFile(join(source, "package.json"), JSON.stringify({ name: "@tsdev/sdk", version: "0.1.0" }));
  await writeFile(join(source, "index.js"), content);
  await run("npm", ["pack", "--pack-destination", source], { cwd: source });
  return join(source, "tsdev-sdk-0.1.0.tgz");
}

/** Installs an app with `npm ci` from a registry of that tarball, and returns what the installed SDK says. */
async function install(app: Hono): Promise<string> {
  const server = serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 });
  try {
    if (!server.listening) await new Promise((listening) => server.once("listening", listening));
    const registry = `http://127.0.0.1:${(server.address() as AddressInfo).port}/npm/`;
    const alone = await mkdtemp(join(folder, "app-"));
    const manifest = { name: "app", version: "1.0.0", dependencies: { "@tsdev/sdk": "0.1.0" } };
    await writeFile(join(alone, "package.json"), JSON.stringify(manifest));
    const packages = { "": manifest, "node_modules/@tsdev/sdk": { version: "0.1.0" } };
    const lock = { name: "app", version: "1.0.0", lockfileVersion: 3, requires: true, packages };
    await writeFile(join(alone, "package-lock.json"), JSON.stringify(lock));
    const env = {
      ...process.env,
      "npm_config_@tsdev:registry": registry,
      npm_config_cache: join(folder, "cache"),
      npm_config_prefer_offline: "true",
    };
    await run("npm", ["ci", "--no-audit", "--no-fund"], { cwd: alone, env });
    return await readFile(join(alone, "node_modules/@tsdev/sdk/index.js"), "utf8");
  } finally {
    server.close();
  }
}

test("npm ci installs the SDK through the scope's registry from a lockfile that has no address and no digest", async () => {
  const app = new Hono().route(
    "/npm",
    sdkRegistry({ tarballPath: await pack("one"), version: "0.1.0", dependencies: {} }),
  );
  expect(await install(app)).toBe("one");
});

test("a changed SDK of the same version is installed anew although npm prefers its cache", async () => {
  for (const content of ["one", "two"]) {
    const tarballPath = await pack(content);
    const app = new Hono().route("/npm", sdkRegistry({ tarballPath, version: "0.1.0", dependencies: {} }));
    expect(await install(app)).toBe(content);
  }
});

test("another package is not found here", async () => {
  const app = sdkRegistry({ tarballPath: await pack("one"), version: "0.1.0", dependencies: {} });
  for (const path of ["/hono", "/@tsdev%2fother", "/@tsdev/sdk/-/sdk-9.9.9.tgz"]) {
    expect((await app.request(path)).status).toBe(404);
  }
});
