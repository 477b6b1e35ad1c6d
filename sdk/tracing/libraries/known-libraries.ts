// Known libraries: which files of which packages are patched, and which part of ours patches them.

export interface KnownLibrary {
  /** The package's name. */
  name: string;
  /** Semver ranges that the patch was made for. */
  versions: string[];
  /** The module beside this one that exports `patch`. */
  part: string;
  /** CommonJS files within the package that are reached by `require`. */
  required: string[];
  /** Files within the package that are imported, and the exports of ES modules among them that the patch wants. */
  imported: Record<string, string[]>;
}

export const knownLibraries: readonly KnownLibrary[] = [
  {
    name: "drizzle-orm",
    versions: [">=0.29.0 <2"],
    part: "drizzle",
    required: ["query-promise.cjs"],
    imported: { "query-promise.js": ["QueryPromise"] },
  },
  {
    name: "@prisma/client",
    versions: [">=6.16.0 <8"],
    part: "prisma",
    required: ["runtime/client.js"],
    imported: { "runtime/client.mjs": ["getPrismaClient"], "runtime/client.js": [] },
  },
  {
    name: "postgres",
    versions: [">=3.3.0 <4"],
    part: "postgres-js",
    required: ["cjs/src/query.js", "cjs/src/index.js"],
    imported: { "src/query.js": ["Query"], "src/index.js": ["default"] },
  },
  {
    name: "mysql2",
    versions: [">=2.0.0 <4"],
    part: "mysql2",
    // Up to 3.11 the classes stood in lib/ itself.
    required: ["lib/base/connection.js", "lib/base/pool.js", "lib/connection.js", "lib/pool.js", "lib/pool_cluster.js"],
    imported: {},
  },
  {
    name: "ioredis",
    versions: [">=4.0.0 <7"],
    part: "ioredis",
    required: [
      "built/Redis.js",
      "built/redis/index.js",
      "built/Pipeline.js",
      "built/pipeline.js",
      "built/autoPipelining.js",
    ],
    imported: {},
  },
  {
    name: "@redis/client",
    versions: [">=1.0.0 <7"],
    part: "node-redis",
    required: ["dist/lib/client/index.js", "dist/lib/client/commands-queue.js", "dist/lib/client/pool.js"],
    imported: {},
  },
  {
    name: "mongodb",
    versions: [">=4.0.0 <8"],
    part: "mongodb",
    required: ["lib/cmap/connection.js", "lib/cmap/connection_pool.js"],
    imported: {},
  },
];
