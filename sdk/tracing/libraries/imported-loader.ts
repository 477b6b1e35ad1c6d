// Imported loader: the hooks of a loader thread, for versions of Node without fit synchronous ones.
import { readFileSync } from "node:fs";
import type { LoadHook } from "node:module";
import { fileURLToPath } from "node:url";
import { importedFileOf, instrumentedSource } from "./imported-source.ts";

export const load: LoadHook = async (url, context, nextLoad) => {
  const loaded = await nextLoad(url, context);
  const file = importedFileOf(url);
  if (!file) return loaded;
  const source = loaded.source ? Buffer.from(loaded.source as Uint8Array) : readFileSync(fileURLToPath(url));
  return { ...loaded, source: instrumentedSource(file, source.toString(), loaded.format) };
};
