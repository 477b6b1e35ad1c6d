// The imports of a module, read from its text: enough to tell what may declare something, and which files are in a circle.
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export interface ModuleImport {
  readonly specifier: string;
  /** Imported name and the name it has here; `*` for all of it. */
  readonly names: readonly { readonly imported: string; readonly local: string }[];
  /** `export … from`. */
  readonly reexport: boolean;
}

// At the start of a statement: not in a comment's line, nor in the middle of a string.
const statement =
  /(?:^|[;}])[ \t]*(import|export)\b\s*(type\b(?!\s*(?:,|from\b)))?((?:[\w$*{}\s,]|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*?)\bfrom\s*["']([^"'\n]+)["']/gm;
const bare = /(?:^|[;}])[ \t]*import\s*["']([^"'\n]+)["']/gm;
const required = /(?:const|let|var)\s+([\w$]+|\{[^}]*\})\s*=\s*require\(\s*["']([^"'\n]+)["']\s*\)/g;

/** Static imports that are there at run time: those of types are left out. */
export function moduleImports(text: string): ModuleImport[] {
  const imports: ModuleImport[] = [];
  for (const [, keyword, type, clause = "", specifier = ""] of text.matchAll(statement)) {
    if (type) continue;
    const names = namesOf(clause.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, ""));
    // `import { type A, type B }` is left to the run time as an import of nothing.
    imports.push({ specifier, names, reexport: keyword === "export" });
  }
  for (const [, specifier = ""] of text.matchAll(bare)) imports.push({ specifier, names: [], reexport: false });
  for (const [, target = "", specifier = ""] of text.matchAll(required)) {
    const names = target.startsWith("{") ? namesOf(target.replaceAll(":", " as ")) : [{ imported: "*", local: target }];
    imports.push({ specifier, names, reexport: false });
  }
  return imports;
}

function namesOf(clause: string): { imported: string; local: string }[] {
  const names: { imported: string; local: string }[] = [];
  const braces = /\{([^}]*)\}/.exec(clause)?.[1] ?? "";
  for (const part of braces.split(",")) {
    const match = /^\s*(type\s+(?!as\b))?([\w$]+)(?:\s+as\s+([\w$]+))?\s*$/.exec(part);
    if (!match?.[2] || match[1]) continue;
    names.push({ imported: match[2], local: match[3] ?? match[2] });
  }
  const rest = clause.replace(/\{[^}]*\}/, "");
  const all = /\*(?:\s*as\s+([\w$]+))?/.exec(rest);
  if (all) names.push({ imported: "*", local: all[1] ?? "*" });
  const own = /^\s*([\w$]+)/.exec(rest)?.[1];
  if (own) names.push({ imported: "default", local: own });
  return names;
}

/** The SDK's functions that declare something. */
const declaring = new Set(["procedure", "workflow", "event", "cron", "webhook", "queue", "onEvent"]);
/** The folder of the SDK's modules: of its source, of its build, or of the bundle that it is part of. */
const sdk = dirname(dirname(fileURLToPath(import.meta.url)));

/** True for a bundle that has the SDK inside: what marks a declaration, and how its line is found, outlive a minifier. */
export function isBundle(text: string): boolean {
  return (
    text.includes("captureStackTrace") && /\bkind\s*[:=]\s*["'`](?:procedure|workflow|event|trigger)["'`]/.test(text)
  );
}

/** True when the file may declare something: it imports a declaring function, or is a bundle that has the SDK inside. */
export function mayDeclare(file: string, text: string, imports: readonly ModuleImport[]): boolean {
  return declaringNames(file, imports).length > 0 || isBundle(text);
}

/** True when it also calls one. A bundle's names are whatever its bundler made of them, so of that nothing is known. */
export function declares(file: string, text: string, imports: readonly ModuleImport[]): boolean {
  return declaringNames(file, imports).some((name) => new RegExp(`(?<![\\w$.])${name}\\s*\\(`).test(text));
}

/** Patterns of the names that the SDK's declaring functions have in this file. */
function declaringNames(file: string, imports: readonly ModuleImport[]): string[] {
  return imports
    .filter(({ specifier, reexport }) => !reexport && isSdk(file, specifier))
    .flatMap(({ names }) => names)
    .filter(({ imported }) => imported === "*" || declaring.has(imported))
    .map(({ imported, local }) => {
      const name = local.replaceAll("$", "\\$");
      return imported === "*" ? `${name}\\.(?:${[...declaring].join("|")})` : name;
    });
}

function isSdk(file: string, specifier: string): boolean {
  if (specifier === "@tsdev/sdk") return true;
  return specifier.startsWith(".") && dirname(resolve(dirname(file), specifier)).startsWith(sdk);
}
