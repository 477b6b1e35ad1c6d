// IR from source: the graphs of workflows as their text says, without running it. What runs but cannot be read is
// `dynamic`, with the reason and the line. Read is a top-level `export const` with a literal name and one chain.
import { type CallIr, type NodeIr, parallelId, type StepIr, type WorkflowIr } from "../../sdk/ir/ir.ts";
import { Dynamic, literal, propertiesOf } from "./literal.ts";
import { Modules } from "./module-names.ts";
import { memberName, type Node, type SourceFile, stringValue, unwrap } from "./source-file.ts";

export interface SourceWorkflow {
  /** Null where the name is no literal. */
  readonly name: string | null;
  /** As the file was given. */
  readonly file: string;
  /** Of `workflow(…)`, from 1. */
  readonly line: number;
  /** The constant that holds it; null where it is in none. */
  readonly constant: string | null;
  /** Undefined when it is dynamic. */
  readonly ir?: WorkflowIr;
  readonly dynamic?: { readonly reason: string; readonly file: string; readonly line: number };
  /** Lines of the nodes by id. */
  readonly lines: ReadonlyMap<string, number>;
}

/** Every workflow that these files declare, by file and line. Paths have slashes; imports are looked up among them. */
export function irFromSource(files: readonly { readonly path: string; readonly text: string }[]): SourceWorkflow[] {
  const modules = new Modules(new Map(files.map(({ path, text }) => [path, text])));
  return files.flatMap(({ path, text }) => {
    const file = text.includes("workflow") ? modules.file(path) : null;
    const calls = file?.nodes("CallExpression") ?? [];
    return calls
      .filter((call) => file !== null && isOurs(modules, file, call, "workflow"))
      .map((call) => new Reader(modules, file as SourceFile).workflow(call));
  });
}

/** True for a call of the SDK's function of this name. */
function isOurs(modules: Modules, file: SourceFile, call: Node, name: string): boolean {
  const meaning = modules.meaning(file, call.callee as Node);
  if (meaning?.kind === "package") {
    return meaning.name === name && (meaning.specifier.startsWith(".") || meaning.specifier === "@tsdev/sdk");
  }
  // Where the SDK's own source is among the files.
  return meaning?.kind === "code" && meaning.node.type === "FunctionDeclaration" && meaning.node.id?.name === name;
}

interface Link {
  readonly method: string;
  readonly args: readonly Node[];
  /** The method's name. */
  readonly at: Node;
}

class Reader {
  readonly #modules: Modules;
  readonly #file: SourceFile;
  readonly #lines = new Map<string, number>();

  constructor(modules: Modules, file: SourceFile) {
    this.#modules = modules;
    this.#file = file;
  }

  workflow(call: Node): SourceWorkflow {
    const file = this.#file;
    let top = call;
    for (;;) {
      const member = file.parentOf(top);
      const next = member === undefined ? undefined : file.parentOf(member);
      if (member?.type !== "MemberExpression" || next?.type !== "CallExpression" || next.callee !== member) break;
      top = next;
    }
    const declarator = file.parentOf(top);
    const constant = declarator?.type === "VariableDeclarator" ? ((declarator.id.name as string | null) ?? null) : null;
    const name = stringValue((call.arguments as Node[])[0]);
    const base = { name, file: file.path, line: file.lineOf(call.start), constant, lines: this.#lines };
    try {
      return { ...base, ir: this.#ir(call, top) };
    } catch (error) {
      if (!(error instanceof Dynamic)) throw error;
      const line = error.file.lineOf(error.node.start);
      return { ...base, dynamic: { reason: error.message, file: error.file.path, line } };
    }
  }

  #ir(call: Node, top: Node): WorkflowIr {
    const [nameNode, options] = call.arguments as Node[];
    const name = stringValue(nameNode);
    if (name === null) throw this.#dynamic(nameNode ?? call, "its name is not written as a literal");
    if (!isTopLevelConst(this.#file, top)) {
      throw this.#dynamic(call, "it is not one chain in a top-level `export const`");
    }
    const { links } = this.#links(top);
    if (links[0]?.method !== "input") throw this.#dynamic(call, "its chain does not begin with `.input(…)`");
    const concurrency = propertiesOf(this.#file, options, "its options").get("concurrency");
    return {
      ir: 1,
      name,
      ...(concurrency ? { concurrency: this.#options(concurrency, "`concurrency`", { key: "keyed" }) as never } : {}),
      nodes: this.#nodes(links.slice(1)),
    };
  }

  /** The calls of a chain, and what it begins with. */
  #links(chain: Node): { links: Link[]; base: Node } {
    const links: Link[] = [];
    let node = unwrap(chain) ?? chain;
    for (;;) {
      const callee = node.type === "CallExpression" ? (node.callee as Node) : null;
      if (callee?.type !== "MemberExpression") return { links: links.reverse(), base: node };
      const method = memberName(callee);
      if (method === null) throw this.#dynamic(callee, "a method in its chain is computed or optional");
      links.push({ method, args: node.arguments as Node[], at: callee.property as Node });
      node = unwrap(callee.object as Node) ?? callee;
    }
  }

  #nodes(links: readonly Link[]): readonly NodeIr[] {
    const nodes: NodeIr[] = [];
    let line = 0;
    for (const link of links) {
      if (link.args.some((arg) => arg.type === "SpreadElement")) {
        throw this.#dynamic(link.at, `the arguments of .${link.method} are a spread`);
      }
      const last = nodes.at(-1);
      const modified = last === undefined ? null : this.#modified(link, last);
      if (modified !== null) nodes[nodes.length - 1] = modified;
      else {
        nodes.push(this.#node(link));
        line = this.#file.lineOf(link.at.start);
      }
      const current = nodes.at(-1);
      if (current) this.#lines.set(current.id, line);
      if (current?.op === "parallel") for (const { id } of current.branches) this.#lines.set(id, line);
    }
    return nodes;
  }

  #node({ method, args, at }: Link): NodeIr {
    const [first, second, third, fourth] = args;
    const id = () => this.#text(first ?? at, `the id of .${method}`);
    const options = (node: Node | undefined, functions: Readonly<Record<string, string | null>> = {}) =>
      this.#options(node, `the options of .${method}`, functions);
    switch (method) {
      case "step": {
        const procedure = this.#nameOf(first ?? at, "procedure");
        const { as, ...others } = options(second, { with: "mapped" });
        return { op: "step", id: (as as string) ?? procedure, procedure, ...asKey(as), ...others };
      }
      case "parallel": {
        const list = unwrap(first);
        const items = (list?.type === "ArrayExpression" ? list.elements : [null]) as (Node | null)[];
        const branches = items.map((item): StepIr => {
          if (item === null) throw this.#dynamic(at, "the list of .parallel is not written in place");
          const procedure = this.#nameOf(item, "procedure");
          return { op: "step", id: procedure, procedure };
        });
        return { op: "parallel", id: parallelId(branches), branches };
      }
      case "run":
        return { op: "run", id: id() };
      case "when": {
        const otherwise = this.#given(fourth) ? { otherwise: this.#body(fourth, at) } : {};
        // biome-ignore lint/suspicious/noThenProperty: a list, and never awaited
        return { op: "when", id: id(), then: this.#body(third, at), ...otherwise };
      }
      case "match": {
        // An object, since its order of keys is that of the run time: whole numbers first.
        const cases: Record<string, readonly NodeIr[]> = {};
        for (const [name, body] of propertiesOf(this.#file, third, "the cases of .match")) {
          cases[name] = this.#body(body, at);
        }
        const otherwise = this.#given(fourth) ? { otherwise: this.#body(fourth, at) } : {};
        const list = Object.entries(cases).map(([name, nodes]) => ({ case: name, nodes }));
        return { op: "match", id: id(), cases: list, ...otherwise };
      }
      case "each":
        return { op: "each", id: id(), ...options(fourth), nodes: this.#body(third, at) };
      case "repeat":
        return { op: "repeat", id: id(), ...options(third, { until: null }), nodes: this.#body(second, at) } as NodeIr;
      case "sleep":
        return { op: "sleep", id: id(), ...options(second, { until: "mapped" }) };
      case "waitFor":
        return {
          op: "waitFor",
          id: id(),
          event: this.#nameOf(second ?? at, "event"),
          ...options(third, { key: "keyed" }),
        };
      case "approve":
        return { op: "approve", id: id(), ...options(second) };
      case "call": {
        const workflow = this.#nameOf(first ?? at, "workflow");
        const { as, ...others } = options(second, { with: "mapped" });
        return { op: "call", id: (as as string) ?? workflow, workflow, ...asKey(as), ...others } as CallIr;
      }
      default:
        throw this.#dynamic(at, `.${method} is no node and no modifier`);
    }
  }

  /** The node with the modifier; null when the link is none. */
  #modified({ method, args, at }: Link, node: NodeIr): NodeIr | null {
    const [first, second] = args;
    const kind = policies[method];
    if (kind !== undefined) {
      return { ...node, [kind]: this.#options(first, `the options of .${method}`, { key: "keyed" }) } as NodeIr;
    }
    if (method === "as") {
      const key = this.#text(first ?? at, "the key of .as");
      this.#lines.delete(node.id);
      return { ...node, id: key, as: key } as NodeIr;
    }
    if (method !== "compensate") return null;
    const procedure = this.#nameOf(first ?? at, "procedure");
    const options = this.#options(second, "the options of .compensate", { with: "mapped" });
    return { ...node, compensate: { procedure, ...options } } as NodeIr;
  }

  /** Literal options; of a function only that it is given, under the name that the IR has for it, if any. */
  #options(
    object: Node | undefined,
    what: string,
    functions: Readonly<Record<string, string | null>>,
  ): Record<string, unknown> {
    const found: Record<string, unknown> = {};
    if (!this.#given(object)) return found;
    for (const [key, value] of propertiesOf(this.#file, object, what)) {
      const flag = functions[key];
      if (flag === undefined) found[key] = literal(this.#modules, this.#file, value, `\`${key}\` in ${what}`);
      else if (this.#isFunction(value, key, what) && flag !== null) found[flag] = true;
    }
    return found;
  }

  /** The nodes that `(branch) => branch.step(…)` adds. */
  #body(code: Node | null | undefined, at: Node): readonly NodeIr[] {
    const fn = unwrap(code);
    const block = fn?.body?.type === "BlockStatement" ? (fn.body.body as Node[]) : null;
    const single = block?.length === 1 && block[0]?.type === "ReturnStatement" ? (block[0].argument as Node) : null;
    const result = block === null ? (fn?.body as Node | undefined) : single;
    const [parameter] = (fn?.params ?? []) as Node[];
    const isCode = fn?.type === "ArrowFunctionExpression" || fn?.type === "FunctionExpression";
    if (!isCode || fn.async || !result || parameter?.type !== "Identifier") {
      throw this.#dynamic(fn ?? at, "a branch or body is not written in place as one chain on its parameter");
    }
    const { links, base } = this.#links(result);
    if (base.type !== "Identifier" || base.name !== parameter.name) {
      throw this.#dynamic(base, "a branch or body does not begin with its parameter");
    }
    return this.#nodes(links);
  }

  /** The literal name of a procedure, an event or a workflow that an expression refers to. */
  #nameOf(reference: Node, kind: "procedure" | "event" | "workflow"): string {
    const text = this.#file.text.slice(reference.start, reference.end);
    const meaning = this.#shadowed(reference) ? null : this.#modules.meaning(this.#file, reference);
    if (meaning?.kind === "package") {
      throw this.#dynamic(
        reference,
        `the ${kind} ${text} is imported from ${meaning.specifier}, which is not in these files`,
      );
    }
    const code = meaning?.kind === "code" ? meaning : null;
    let call = code?.node;
    while (kind === "workflow" && call?.type === "CallExpression" && call.callee.type === "MemberExpression") {
      call = unwrap(call.callee.object as Node) ?? undefined;
    }
    if (code === null || call?.type !== "CallExpression" || !isOurs(this.#modules, code.file, call, kind)) {
      throw this.#dynamic(reference, `${text} is not a constant that \`${kind}(…)\` made`);
    }
    const [first] = call.arguments as Node[];
    const name = kind === "workflow" ? first : propertiesOf(code.file, first, `the parts of ${text}`).get("name");
    const value = name && literal(this.#modules, code.file, name, `the name of ${text}`);
    if (typeof value !== "string") throw this.#dynamic(reference, `the name of ${text} is not written as a literal`);
    return value;
  }

  /** True when a parameter around the reference has its name. */
  #shadowed(reference: Node): boolean {
    const names = new Set<string>();
    for (let node = unwrap(reference); node; node = unwrap(node.object as Node | undefined)) {
      if (node.type === "Identifier") names.add(node.name as string);
      if (node.type !== "MemberExpression") break;
    }
    for (let up = this.#file.parentOf(reference); up; up = this.#file.parentOf(up)) {
      for (const parameter of (up.params ?? []) as Node[]) {
        if (parameter.type === "Identifier" && names.has(parameter.name as string)) return true;
      }
    }
    return false;
  }

  #isFunction(value: Node, key: string, what: string): boolean {
    const isCode = (node: Node | null | undefined) =>
      /^(Arrow)?Function(Expression|Declaration)?/.test(node?.type ?? "");
    const node = unwrap(value);
    if (isCode(node)) return true;
    if (node?.type === "Identifier" && node.name === "undefined") return false;
    const meaning = this.#modules.meaning(this.#file, value);
    if (meaning?.kind === "code" && isCode(meaning.node)) return true;
    throw this.#dynamic(value, `whether \`${key}\` in ${what} is a function cannot be read`);
  }

  #given(node: Node | undefined): node is Node {
    return node !== undefined && !(node.type === "Identifier" && node.name === "undefined");
  }

  #text(node: Node, what: string): string {
    const value = literal(this.#modules, this.#file, node, what);
    if (typeof value !== "string") throw this.#dynamic(node, `${what} is no text`);
    return value;
  }

  #dynamic(node: Node, reason: string): Dynamic {
    return new Dynamic(this.#file, node, reason);
  }
}

const policies: Readonly<Record<string, string>> = {
  withRetry: "retry",
  withTimeout: "timeout",
  withCache: "cache",
  withRateLimit: "rateLimit",
  withCircuitBreaker: "circuitBreaker",
};

function asKey(as: unknown): { as?: string } {
  return as === undefined ? {} : { as: as as string };
}

function isTopLevelConst(file: SourceFile, chain: Node): boolean {
  const declarator = file.parentOf(chain);
  const declaration = declarator && file.parentOf(declarator);
  const exported = declaration && file.parentOf(declaration);
  return (
    declarator?.type === "VariableDeclarator" &&
    declarator.init === chain &&
    declaration?.type === "VariableDeclaration" &&
    declaration.kind === "const" &&
    exported?.type === "ExportNamedDeclaration" &&
    file.parentOf(exported)?.type === "Program"
  );
}
