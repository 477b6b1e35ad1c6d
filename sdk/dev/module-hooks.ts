// Module hooks: give each of the app's files its version when it is imported, so that Node loads it again after an edit.
import { type ModuleHooks, registerHooks } from "node:module";
import { type ModuleGraph, plainUrl } from "./module-graph.ts";

/** `entry` is told that it is the main module: it is imported, and an app may begin with `if (import.meta.main)`. */
export function installModuleHooks(graph: ModuleGraph, entry: string): ModuleHooks {
  return registerHooks({
    resolve(specifier, context, next) {
      let resolved: ReturnType<typeof next>;
      try {
        resolved = next(specifier, context);
      } catch (error) {
        graph.unresolved(context.parentURL);
        throw error;
      }
      return { ...resolved, url: graph.imported(resolved.url, context.parentURL) };
    },
    load(url, context, next) {
      const plain = plainUrl(url);
      const loaded = next(url, context);
      if (!graph.isAppFile(plain)) return loaded;
      const { source } = loaded;
      const text = typeof source === "string" ? source : source ? Buffer.from(source as Uint8Array).toString() : "";
      graph.loaded(plain, text, loaded.format);
      if (plain !== entry || !loaded.format?.startsWith("module")) return loaded;
      // On the first line, so that the lines of stack traces stay.
      return { ...loaded, source: `import.meta.main=true;${text}` };
    },
  });
}
