// Imported source: lines added at the end of a library's module, which hand what it declares to the patches.
import { knownLibraries } from "./known-libraries.ts";

export interface ImportedFile {
  library: string;
  file: string;
  names: string[];
}

/** What the added lines call: `(library, file, declared) => declared or others in their place`. */
export const patchName: unique symbol = Symbol.for("tsdev.patch-library") as never;

const files = new Map<string, ImportedFile>(
  knownLibraries.flatMap(({ name, imported }) =>
    Object.entries(imported).map(([file, names]) => [`${name}/${file}`, { library: name, file, names }] as const),
  ),
);
const folder = "/node_modules/";

/** The module that a URL names, if it is one of those that are patched. */
export function importedFileOf(url: string): ImportedFile | undefined {
  const at = url.lastIndexOf(folder);
  return at < 0 ? undefined : files.get(url.slice(at + folder.length));
}

/** Lines stay where they are. A declaration that is a `const` cannot be handed over. */
export function instrumentedSource(imported: ImportedFile, source: string, format: string | null | undefined): string {
  const { library, file, names } = imported;
  const patch = `globalThis[Symbol.for("tsdev.patch-library")]?.("${library}", "${file}", `;
  if (format === "commonjs") return `${source}\n;module.exports = ${patch}module.exports) ?? module.exports;\n`;
  if (format !== "module") return source;
  let text = source;
  const locals = names.map((name) => {
    // `export default a` exports the value that `a` has then; as `{ a as default }` it can be given another.
    if (name === "default") text = text.replace(/^export default ([\w$]+);?$/m, "export { $1 as default };");
    return localName(text, name);
  });
  const handed = names.map((name, index) => `${JSON.stringify(name)}: ${locals[index]}`).join(", ");
  const taken = names.map((name, index) => `if (p.${name} !== ${locals[index]}) ${locals[index]} = p.${name};`);
  return `${text}\n;{ const p = ${patch}{ ${handed} }); if (p) { ${taken.join(" ")} } }\n`;
}

/** What a module itself calls an export: `export { a as name }`. */
function localName(source: string, name: string): string {
  const renamed = new RegExp(`[{,]\\s*([\\w$]+)\\s+as\\s+${name}\\s*[,}]`).exec(source)?.[1];
  return renamed ?? name;
}
