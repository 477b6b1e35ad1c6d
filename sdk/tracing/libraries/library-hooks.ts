// Library hooks: a library is patched when the app loads it; nothing of ours for it is loaded before.
import { readFileSync } from "node:fs";
import * as nodeModule from "node:module";
import { fileURLToPath } from "node:url";
import {
  InstrumentationBase,
  InstrumentationNodeModuleDefinition,
  InstrumentationNodeModuleFile,
} from "@opentelemetry/instrumentation";
import type { LeanTracerProvider } from "../tracer.ts";
import { type ImportedFile, importedFileOf, instrumentedSource, patchName } from "./imported-source.ts";
import { type KnownLibrary, knownLibraries } from "./known-libraries.ts";

/** What a part of this folder exports as `patch`. It changes `exports` in place and answers what stands in their place. */
export type Patch = (file: string, exports: Record<string, unknown>, tracers: LeanTracerProvider) => unknown;

const require = nodeModule.createRequire(import.meta.url);
const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
/** The oldest versions whose synchronous hooks let modules without a source pass (nodejs/node#59929). */
const syncHooksSince: Record<number, [minor: number, patch: number]> = { 22: [22, 3], 24: [11, 1], 25: [1, 0] };

/** Patches what the app loads from now on. */
export class LibraryHooks {
  readonly #tracers: LeanTracerProvider;
  readonly #told = new Set<string>();

  constructor(tracers: LeanTracerProvider) {
    this.#tracers = tracers;
    new RequireHooks((library, file, exports) => this.#patch(library, file, exports));
    this.#hookImports();
  }

  #patch(library: KnownLibrary, file: string, exports: Record<string, unknown>): unknown {
    try {
      const { patch } = require(`./${library.part}${extension}`) as { patch: Patch };
      return patch(file, exports, this.#tracers) ?? exports;
    } catch (error) {
      this.#tell(library.name, file, error);
      return exports;
    }
  }

  #tell(library: string, file: string, error: unknown): void {
    if (this.#told.has(library)) return;
    this.#told.add(library);
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`tsdev: ${library} is not traced, its ${file} is another than expected: ${reason}\n`);
  }

  #hookImports(): void {
    Object.defineProperty(globalThis, patchName, {
      configurable: true,
      value: (name: string, file: string, exports: Record<string, unknown>) => {
        const library = knownLibraries.find((one) => one.name === name);
        return library ? this.#patch(library, file, exports) : exports;
      },
    });
    try {
      if (hasSyncHooks()) nodeModule.registerHooks({ load: loadSync });
      else nodeModule.register(`./imported-loader${extension}`, import.meta.url);
    } catch (error) {
      this.#tell("What is imported", "loader", error);
    }
  }
}

type OnLoad = (library: KnownLibrary, file: string, exports: Record<string, unknown>) => unknown;

class RequireHooks extends InstrumentationBase {
  #onLoad: OnLoad | undefined;

  constructor(onLoad: OnLoad) {
    super("@tsdev/sdk/libraries", "", {});
    this.#onLoad = onLoad;
  }

  override init() {
    return knownLibraries.map((library) => {
      const { name, versions, required } = library;
      const patch = (file: string) => (exports: Record<string, unknown>) =>
        this.#onLoad ? this.#onLoad(library, file, exports) : exports;
      return new InstrumentationNodeModuleDefinition(
        name,
        versions,
        // The file that the package's `main` names goes by the package's name.
        (exports: Record<string, unknown>) => patch("")(exports),
        undefined,
        required.map((file) => new InstrumentationNodeModuleFile(`${name}/${file}`, versions, patch(file), () => {})),
      );
    });
  }
}

function hasSyncHooks(): boolean {
  if (typeof nodeModule.registerHooks !== "function") return false;
  const [major, minor, patch] = process.versions.node.split(".").map(Number) as [number, number, number];
  const since = syncHooksSince[major];
  if (!since) return major > 25;
  return minor > since[0] || (minor === since[0] && patch >= since[1]);
}

const loadSync: nodeModule.LoadHookSync = (url, context, nextLoad) => {
  const loaded = nextLoad(url, context);
  const file: ImportedFile | undefined = importedFileOf(url);
  if (!file) return loaded;
  const source = String(loaded.source ?? readFileSync(fileURLToPath(url)));
  return { ...loaded, source: instrumentedSource(file, source, loaded.format) };
};
