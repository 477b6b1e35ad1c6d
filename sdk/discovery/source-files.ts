// The source files of an app: the modules below a folder that are neither tests nor what a tool put there.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { TsdevError } from "../errors.ts";

export interface SourceFile {
  /** Absolute. */
  readonly file: string;
  /** From the folder, with slashes. */
  readonly path: string;
  readonly text: string;
}

const modules = /\.(?:[mc]?ts|[mc]?js)$/;
const noModules = /\.d\.[mc]?ts$|\.(?:test|spec|test-d|bench|fixture)\.[mc]?[jt]s$/;
const noFolders = new Set(["node_modules", "dist", "coverage", "__tests__", "__fixtures__", "__mocks__"]);

/**
 * All of them in the order of their paths. Of `a.ts` and the `a.js` that a compiler put beside it, the one whose language
 * is `prefer`. Throws `not_found` when there is no such folder.
 */
export async function sourceFiles(folder: string, prefer: "ts" | "js"): Promise<SourceFile[]> {
  const found: { file: string; path: string }[] = [];
  await walk(folder, "", found);
  const paths = new Set(found.map(({ path }) => path));
  const kept = found.filter(({ path }) => {
    const twin = path.endsWith("ts") ? path.replace(/ts$/, "js") : path.replace(/js$/, "ts");
    return !paths.has(twin) || path.endsWith(prefer);
  });
  kept.sort((a, b) => (a.path < b.path ? -1 : 1));
  return Promise.all(kept.map(async (one) => ({ ...one, text: await readFile(one.file, "utf8") })));
}

async function walk(folder: string, prefix: string, found: { file: string; path: string }[]): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new TsdevError("not_found", {
      message: `the folder ${folder} cannot be read: ${cause.message}`,
      fix: 'give discover the folder of your source: new URL(".", import.meta.url)',
      cause,
    });
  });
  await Promise.all(
    entries.map(async (entry) => {
      const path = prefix + entry.name;
      if (entry.isDirectory()) {
        const ignored = entry.name.startsWith(".") || noFolders.has(entry.name);
        if (!ignored) await walk(join(folder, entry.name), `${path}/`, found);
      } else if (entry.isFile() && modules.test(entry.name) && !noModules.test(entry.name)) {
        found.push({ file: join(folder, entry.name), path });
      }
    }),
  );
}
