// SDK registry: the npm endpoint that gives builds `@tsdev/sdk` from a packed tarball, and nothing else.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { Hono } from "hono";

export const sdkPackage = "@tsdev/sdk";

export interface SdkRegistryOptions {
  /** What `npm pack` made of the SDK. */
  tarballPath: string;
  version: string;
  /** The dependencies in the SDK's package.json. */
  dependencies: Record<string, string>;
  /** Further fields of its package.json that npm decides by. */
  engines?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

/**
 * A registry of one package in one version, to be mounted anywhere, for example at `/npm`. The package's digest is in
 * its answer, so a lockfile needs neither the registry's address nor an `integrity` for it.
 */
export function sdkRegistry({ tarballPath, version, ...manifest }: SdkRegistryOptions): Hono {
  const tarball = readFileSync(tarballPath);
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`;
  const shasum = createHash("sha1").update(tarball).digest("hex");
  // The version stays while the content changes from one checkout to the next: npm must never keep an answer.
  const headers = { "cache-control": "no-store" };

  const app = new Hono();
  app.get("/:name{@tsdev(?:/|%2[fF])sdk}", (c) => {
    const url = new URL(c.req.url);
    const base = url.href.slice(0, url.href.lastIndexOf("/@tsdev"));
    const dist = { tarball: `${base}/${sdkPackage}/-/sdk-${version}.tgz`, integrity, shasum };
    return c.json(
      {
        name: sdkPackage,
        "dist-tags": { latest: version },
        versions: { [version]: { name: sdkPackage, version, type: "module", ...manifest, dist } },
      },
      200,
      headers,
    );
  });
  app.get(`/${sdkPackage}/-/sdk-${version}.tgz`, (c) =>
    c.body(tarball, 200, { ...headers, "content-type": "application/octet-stream" }),
  );
  return app;
}
