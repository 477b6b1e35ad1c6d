// Module names: what a name in a module stands for, followed through constants, imports and re-exports of many files.
import { posix } from "node:path";
import { memberName, type Node, parseSource, type SourceFile, unwrap } from "./source-file.ts";

/** An expression or a function where it stands, or what another package exports under a name (`*`: all of it). */
export type Meaning =
  | { readonly kind: "code"; readonly file: SourceFile; readonly node: Node }
  | { readonly kind: "module"; readonly path: string }
  | { readonly kind: "package"; readonly specifier: string; readonly name: string };

const extensions = ["", ".ts", ".tsx", ".mts", ".cts", ".js", ".mjs", ".cjs", "/index.ts", "/index.js"];

export class Modules {
  readonly #texts: ReadonlyMap<string, string>;
  readonly #parsed = new Map<string, SourceFile | null>();

  /** Texts by path, with slashes; imports are looked up among them. */
  constructor(texts: ReadonlyMap<string, string>) {
    this.#texts = texts;
  }

  /** Null when it is not there or does not parse. */
  file(path: string): SourceFile | null {
    const known = this.#parsed.get(path);
    if (known !== undefined) return known;
    const text = this.#texts.get(path);
    const file = text === undefined ? null : parseSource(path, text);
    this.#parsed.set(path, file);
    return file;
  }

  /** What an expression stands for: a name and a member of a namespace are followed. Null when that cannot be told. */
  meaning(file: SourceFile, expression: Node | null | undefined, depth = 0): Meaning | null {
    const node = unwrap(expression);
    if (node === null || depth > 50) return null;
    if (node.type === "Identifier") return this.#local(file, node.name as string, depth + 1);
    const member = memberName(node);
    if (member === null) return { kind: "code", file, node };
    const object = this.meaning(file, node.object as Node, depth + 1);
    if (object?.kind === "module") return this.#exported(object.path, member, depth + 1);
    if (object?.kind === "package" && object.name === "*") return { ...object, name: member };
    return null;
  }

  #local(file: SourceFile, name: string, depth: number): Meaning | null {
    for (const statement of bodyOf(file)) {
      if (statement.type === "ImportDeclaration") {
        const specifier = (statement.specifiers as Node[]).find((item) => item.local.name === name);
        if (specifier === undefined) continue;
        const imported = specifier.type === "ImportDefaultSpecifier" ? "default" : importedName(specifier);
        return this.#imported(file, String(statement.source.value), imported, depth);
      }
      const declared = declarationOf(statement, name);
      if (declared === null) continue;
      return declared.constant ? this.meaning(file, declared.node, depth) : null;
    }
    return null;
  }

  #imported(file: SourceFile, specifier: string, name: string, depth: number): Meaning | null {
    const path = specifier.startsWith(".") ? this.#find(posix.join(posix.dirname(file.path), specifier)) : null;
    if (path === null) return { kind: "package", specifier, name };
    return name === "*" ? { kind: "module", path } : this.#exported(path, name, depth);
  }

  #find(path: string): string | null {
    const typed = path.replace(/\.([mc]?)js$/, ".$1ts");
    for (const stem of [path, typed]) {
      for (const extension of extensions) if (this.#texts.has(stem + extension)) return stem + extension;
    }
    return null;
  }

  #exported(path: string, name: string, depth: number): Meaning | null {
    const file = this.file(path);
    if (file === null || depth > 50) return null;
    const stars: Node[] = [];
    for (const statement of bodyOf(file)) {
      if (statement.type === "ExportDefaultDeclaration" && name === "default") {
        return this.meaning(file, statement.declaration as Node, depth + 1);
      }
      if (statement.type === "ExportAllDeclaration") {
        if (statement.exported === null) stars.push(statement);
        else if (nameOf(statement.exported) === name) {
          return this.#imported(file, String(statement.source.value), "*", depth + 1);
        }
      }
      if (statement.type !== "ExportNamedDeclaration") continue;
      if (declarationOf(statement, name) !== null) return this.#local(file, name, depth + 1);
      const specifier = (statement.specifiers as Node[]).find((item) => nameOf(item.exported) === name);
      if (specifier === undefined) continue;
      const local = nameOf(specifier.local);
      return statement.source === null
        ? this.#local(file, local, depth + 1)
        : this.#imported(file, String(statement.source.value), local, depth + 1);
    }
    for (const star of name === "default" ? [] : stars) {
      const found = this.#imported(file, String(star.source.value), name, depth + 1);
      if (found !== null && found.kind !== "package") return found;
    }
    return null;
  }
}

function bodyOf(file: SourceFile): readonly Node[] {
  return file.program.body as unknown as Node[];
}

function nameOf(node: Node): string {
  return String(node.name ?? node.value);
}

function importedName(specifier: Node): string {
  return specifier.type === "ImportNamespaceSpecifier" ? "*" : nameOf(specifier.imported);
}

/** The top-level declaration of a name by a statement; a constant can be relied upon. */
function declarationOf(statement: Node, name: string): { node: Node | null; constant: boolean } | null {
  const declaration = statement.type === "ExportNamedDeclaration" ? (statement.declaration as Node | null) : statement;
  if (declaration?.type === "FunctionDeclaration" && declaration.id?.name === name) {
    return { node: declaration, constant: true };
  }
  if (declaration?.type !== "VariableDeclaration") return null;
  for (const declarator of declaration.declarations as Node[]) {
    if (declarator.id.name === name) {
      return { node: declarator.init as Node | null, constant: declaration.kind === "const" };
    }
  }
  return null;
}
