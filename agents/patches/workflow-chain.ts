// Workflow chain: a workflow as it stands in source, one link for each method call, each step with its procedure's name.
import { posix } from "node:path";
import { parse, resolve } from "./module-source.ts";
import type { ReadSource } from "./patch.ts";
import { NotSure } from "./result.ts";
import { memberName, type Node, type SourceFile, stringValue, unwrap } from "./source-file.ts";

export interface Link {
  method: string;
  call: Node;
  /** Offset of the dot (or `?.`) before the method's name. */
  dot: number;
  /** Node id, where the link is a step whose procedure was found. */
  id: string | null;
  /** The procedure's declaration, where it was found. */
  procedure: Node | null;
}

export interface Chain {
  file: SourceFile;
  links: Link[];
}

/**
 * The chain of the workflow of this name. Throws `NotSure("dynamic", …)` when it is anything but a top-level
 * `export const` with a literal name and one chain: only that form means in source what it means when it runs.
 */
export async function workflowChain(path: string | null, name: string, read: ReadSource): Promise<Chain> {
  if (path === null) throw new NotSure("no-place", `the traces do not say where workflow ${name} is declared`);
  const file = await parse(path, read);
  const declarations = file
    .nodes("CallExpression")
    .filter((call) => unwrap(call.callee as Node)?.type === "Identifier" && call.callee.name === "workflow")
    .filter((call) => stringValue((call.arguments as Node[])[0]) === name);
  const root = declarations[0];
  if (declarations.length !== 1 || root === undefined) {
    throw new NotSure("dynamic", `${path} does not declare a workflow "${name}" with a literal name once`);
  }
  const links: Link[] = [];
  let top = root;
  for (;;) {
    const member = file.parentOf(top);
    const call = member === undefined ? undefined : file.parentOf(member);
    const method = memberName(member ?? null);
    if (member === undefined || method === null || call?.type !== "CallExpression" || call.callee !== member) break;
    const dot = file.text.lastIndexOf(".", (member.property as Node).start);
    links.push({ method, call, dot, id: null, procedure: null });
    top = call;
  }
  checkTopLevel(file, top, name);
  for (const [index, link] of links.entries()) {
    if (link.method === "step") await nameStep(file, link, links[index + 1], read);
  }
  return { file, links };
}

function checkTopLevel(file: SourceFile, chain: Node, name: string): void {
  const declarator = file.parentOf(chain);
  const declaration = declarator === undefined ? undefined : file.parentOf(declarator);
  const exported = declaration === undefined ? undefined : file.parentOf(declaration);
  const fixed =
    declarator?.type === "VariableDeclarator" &&
    declarator.init === chain &&
    declaration?.type === "VariableDeclaration" &&
    declaration.kind === "const" &&
    exported?.type === "ExportNamedDeclaration";
  if (!fixed) {
    throw new NotSure(
      "dynamic",
      `workflow "${name}" is not one chain in a top-level \`export const\``,
      file.lineOf(chain.start),
    );
  }
}

/** A step's id is `as`, else its procedure's name, which is looked up where the procedure is declared. */
async function nameStep(file: SourceFile, link: Link, next: Link | undefined, read: ReadSource): Promise<void> {
  const [reference, options] = link.call.arguments as Node[];
  if (reference?.type !== "Identifier") return;
  const procedure = await findProcedure(file, reference.name as string, read);
  if (procedure === null) return;
  link.procedure = procedure;
  const nested = next?.method === "as" ? stringValue((next.call.arguments as Node[])[0]) : property(options, "as");
  link.id = nested ?? property(procedure, "name");
}

/** The literal value of a property of an object literal. */
function property(object: Node | undefined, name: string): string | null {
  return stringValue(propertyNode(object, name));
}

/** The value node of a plainly written property, or null. */
export function propertyNode(object: Node | null | undefined, name: string): Node | null {
  if (object?.type !== "ObjectExpression") return null;
  for (const item of object.properties as Node[]) {
    if (item.type === "Property" && !item.computed && (item.key.name ?? item.key.value) === name)
      return unwrap(item.value);
  }
  return null;
}

/** The object given to `procedure({…})` that a name stands for, in this file or the one it is imported from. */
async function findProcedure(file: SourceFile, name: string, read: ReadSource): Promise<Node | null> {
  const own = declared(file, name);
  if (own !== null) return own;
  for (const statement of file.program.body as unknown as Node[]) {
    if (statement.type !== "ImportDeclaration") continue;
    const specifier = (statement.specifiers as Node[]).find((item) => item.local.name === name);
    if (specifier === undefined) continue;
    if (specifier.type !== "ImportSpecifier") return null;
    const from = String(statement.source.value);
    if (!from.startsWith(".")) return null;
    const other = await resolve(posix.join(posix.dirname(file.path), from), read);
    return other === null ? null : declared(other, String(specifier.imported.name ?? specifier.imported.value));
  }
  return null;
}

function declared(file: SourceFile, name: string): Node | null {
  for (const statement of file.program.body as unknown as Node[]) {
    const declaration =
      statement.type === "ExportNamedDeclaration" ? (statement.declaration as Node | null) : statement;
    if (declaration?.type !== "VariableDeclaration" || declaration.kind !== "const") continue;
    for (const declarator of declaration.declarations as Node[]) {
      if (declarator.id.name !== name) continue;
      const init = unwrap(declarator.init as Node | null);
      if (init?.type !== "CallExpression" || init.callee.name !== "procedure") return null;
      return unwrap((init.arguments as Node[])[0]);
    }
  }
  return null;
}

/** The step with this id, or `NotSure`. */
export function stepOf(chain: Chain, workflow: string, node: string): { link: Link; index: number } {
  const found = chain.links.flatMap((link, index) => (link.id === node ? [{ link, index }] : []));
  if (found.length !== 1 || found[0] === undefined) {
    throw new NotSure(
      "no-such-step",
      `no step ${node} with a procedure that can be looked up in workflow "${workflow}"`,
    );
  }
  return found[0];
}
