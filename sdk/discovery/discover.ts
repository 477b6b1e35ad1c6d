// Discovery: the registry of an app from its source folder, with no list to maintain.
//
// Only files that import one of the SDK's declaring functions are imported, and of these all exports are looked at. The
// text of a file decides whether it is imported, never what is registered.
import { existsSync, realpathSync } from "node:fs";
import { matchesGlob, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { getCallSites } from "node:util";
import { TsdevError } from "../errors.ts";
import { type Declaration, isDeclaration, placeOf, type Registry, registryOf, shortPath } from "../registry.ts";
import { type Circles, importCircles, type Module } from "./import-circles.ts";
import { declares, isBundle, mayDeclare, moduleImports } from "./module-imports.ts";
import { sourceFiles } from "./source-files.ts";

export interface DiscoverOptions {
  /** Globs, from the folder: files that are imported whatever they say, such as those that declare by a factory of yours. */
  include?: readonly string[];
  /** Globs, from the folder: files that are not. */
  exclude?: readonly string[];
  /**
   * Imports a module by its URL. Default: Node's own `import`. Vitest has modules of its own: give it
   * `(url) => import(url)` there, so that a test's imports and the registry's are the same objects.
   */
  import?: (url: string) => Promise<object>;
}

/**
 * Registers what the modules below `folder` export. Left out are tests (`*.test.*`, `*.spec.*`, `*.test-d.*`, `*.bench.*`,
 * `*.fixture.*`, `__tests__`, `__fixtures__`, `__mocks__`), `*.d.ts`, `node_modules`, `dist`, `coverage`, folders whose
 * name begins with a dot, the file that calls and the file that was started.
 *
 * Throws `duplicate_name` with both places, `import_failed` with the file and the cause when a module throws, and
 * `invalid_config` when declarations are where they cannot be found: in the file that calls, or not exported by a bundle.
 *
 * @example
 * const registry = await discover(new URL(".", import.meta.url));
 */
export function discover(folder: URL | string, options: DiscoverOptions = {}): Promise<Registry> {
  return find(folderPath(folder), options, running());
}

async function find(folder: string, options: DiscoverOptions, running: ReadonlySet<string>): Promise<Registry> {
  const { include = [], exclude = [], import: load = (url: string) => import(/* @vite-ignore */ url) } = options;
  const matches = (path: string, globs: readonly string[]) => globs.some((glob) => matchesGlob(path, glob));
  const prefer = [...running].some((file) => /\.[mc]?js$/.test(file) && file.startsWith(folder)) ? "js" : "ts";
  const files = (await sourceFiles(folder, prefer)).map((one) => ({ ...one, imports: moduleImports(one.text) }));
  const candidates = files.filter(
    ({ file, path, text, imports }) =>
      !matches(path, exclude) && (matches(path, include) || mayDeclare(file, text, imports)),
  );
  const own = candidates.filter(({ file }) => running.has(file));
  const others = candidates.filter(({ file }) => !running.has(file));
  for (const { file, text, imports } of own) {
    if (declares(file, text, imports)) throw declaresWhileItRuns(shortPath(file, process.cwd()));
  }

  const circles = importCircles(files);
  const inCircles = new Set(circles.order);
  const wanted = new Set(others.map(({ file }) => file));
  const order = [
    ...circles.order.filter((file) => wanted.has(file)),
    ...others.map(({ file }) => file).filter((file) => !inCircles.has(file)),
  ];

  const places = new Map<Declaration, string>();
  const waiting = watchForDeadlock(running);
  try {
    for (const file of order) {
      waiting.for(file);
      const exports = await load(pathToFileURL(file).href).catch((cause: unknown) => {
        throw importFailed(file, cause, files, circles);
      });
      for (const [name, value] of Object.entries(exports)) {
        if (isDeclaration(value) && !places.has(value)) places.set(value, placeIn(file, name, value));
      }
    }
  } finally {
    waiting.end();
  }
  if (places.size === 0) {
    const whole = own.find(({ text }) => isBundle(text));
    if (whole) throw declaresWhileItRuns(shortPath(whole.file, process.cwd()));
    const declared = others.filter(({ file, text, imports }) => isBundle(text) || declares(file, text, imports));
    if (declared.length > 0) throw nothingExported(declared.map(({ file }) => file));
  }

  // By name, so that neither the order of files nor that of a bundler's exports shows.
  const items = [...places.keys()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return registryOf(items, (item) => places.get(item) ?? placeOf(item));
}

function folderPath(folder: URL | string): string {
  const path = folder instanceof URL || folder.startsWith("file:") ? fileURLToPath(folder) : resolve(folder);
  return existsSync(path) ? realpathSync(path).replace(/(?<=.)[/\\]$/, "") : path;
}

/** The files that are in the middle of running: those on the stack, and the one that was started. To import them is to wait for oneself. */
function running(): ReadonlySet<string> {
  const files = new Set<string>();
  // Not by `Error.stack`: with source maps it names files that are not the ones that run.
  for (const { scriptName } of getCallSites(200, { sourceMap: false })) {
    const file = scriptName.replace(/\?.*$/, "");
    files.add(file.startsWith("file:") ? fileURLToPath(file) : file);
  }
  const started = process.argv[1];
  for (const end of started ? ["", ".ts", ".mts", ".js", ".mjs", "/index.ts", "/index.js"] : []) {
    if (existsSync(started + end)) files.add(realpathSync(started + end));
  }
  return files;
}

/** `file:line`, or the export's name where the line is not the file's own: a factory made it, or it is exported from elsewhere. */
function placeIn(file: string, name: string, { source }: Declaration): string {
  const here = shortPath(file, process.cwd());
  if (source?.file === file) return `${here}:${source.line}`;
  // With source maps the line is that of the TypeScript that this was made of, which says more.
  if (source && /\.[mc]?ts$/.test(source.file) && /\.[mc]?js$/.test(file)) return placeOf({ source } as Declaration);
  return `${here} (export ${name})`;
}

/** Says what Node does not when it gives up: that discover waits for a file that waits for discover. */
function watchForDeadlock(running: ReadonlySet<string>) {
  let file = "";
  const say = (code: number) => {
    // 13: Node's code for a top-level await that can never be settled.
    if (code !== 13) return;
    const own = [...running].filter((one) => !one.startsWith("node:")).map((one) => shortPath(one, process.cwd()));
    process.stderr.write(
      `discover waits for ${shortPath(file, process.cwd())}, which imports a file that waits for discover (of ${own.join(", ")}).\n` +
        "Call discover in the file that is started, and hand the registry on instead of importing it.\n",
    );
  };
  process.once("exit", say);
  return {
    for: (next: string) => {
      file = next;
    },
    end: () => void process.off("exit", say),
  };
}

function importFailed(file: string, cause: unknown, modules: readonly Module[], circles: Circles): TsdevError {
  const here = shortPath(file, process.cwd());
  const message = cause instanceof Error ? cause.message : String(cause);
  const thrower = frameIn(cause, modules);
  const name = /^Cannot access '([^']+)' before initialization/.exec(message)?.[1];
  // Without the loader's circle the same words are an ordinary fault of the file.
  const missing =
    name !== undefined ||
    /\bundefined\b|is not a function|import each other|is no (?:procedure|workflow|event)\b/.test(message);
  const circle = missing ? circles.around(thrower?.file ?? file) : undefined;
  if (circle) {
    const way = circle.map((one) => shortPath(one, process.cwd())).join(" → ");
    return new TsdevError("import_failed", {
      message: `files import each other, ${way}, and ${name ? `\`${bareName(name)}\`` : "one of their exports"} is used before it is there: ${here} threw "${message}"`,
      fix: "move what both need to a file that imports neither of them",
      path: here,
      cause,
    });
  }
  const from = thrower && thrower.file !== file ? `, from ${shortPath(thrower.file, process.cwd())}` : "";
  return new TsdevError("import_failed", {
    message: `${here} threw while it was imported${from}${thrower ? ` (line ${thrower.line})` : ""}: ${message}`,
    fix: "correct it, or leave the file out with `exclude`",
    path: here,
    cause,
  });
}

/** Vite's name for an import, without its number. */
function bareName(name: string): string {
  return name.replace(/^__vi(?:te_ssr)?_(?:import|export)_\w*?__?\.?/, "");
}

/** The first line of the stack that is in one of these files. */
function frameIn(thrown: unknown, modules: readonly Module[]): { file: string; line: number } | undefined {
  const known = new Set(modules.map(({ file }) => file));
  const stack = thrown instanceof Error && typeof thrown.stack === "string" ? thrown.stack : "";
  for (const [, place = "", line] of stack.matchAll(/^\s+at (?:.*\()?(?:async )?(.+?):(\d+):\d+\)?$/gm)) {
    const file = (place.startsWith("file:") ? fileURLToPath(place.replace(/\?.*$/, "")) : place).replace(/\?.*$/, "");
    if (known.has(file)) return { file, line: Number(line) };
  }
  return undefined;
}

const toldHow =
  "a bundler that makes one file of an app must keep its modules (tsc; rolldown and rollup: output.preserveModules) or " +
  "export what they declare; else give createRegistry the list";

function declaresWhileItRuns(file: string): TsdevError {
  return new TsdevError("invalid_config", {
    message: `${file} declares procedures or workflows, and it cannot be imported by discover while it runs`,
    fix: `move them to files of their own, or leave it out with \`exclude\`; ${toldHow}`,
    path: file,
  });
}

function nothingExported(files: readonly string[]): TsdevError {
  const first = shortPath(files[0]!, process.cwd());
  const more = files.length > 1 ? ` and ${files.length - 1} more` : "";
  return new TsdevError("invalid_config", {
    message: `${first}${more} declare procedures or workflows and export none`,
    fix: `export them; ${toldHow}`,
    path: first,
  });
}
