// Literal: the value of an expression that is written out, such as `60 * 1_000`, or of a constant that has one.
import type { Modules } from "./module-names.ts";
import { type Node, type SourceFile, stringValue, unwrap } from "./source-file.ts";

/** What is to be read is not written so that its value is known without running it. */
export class Dynamic extends Error {
  readonly file: SourceFile;
  readonly node: Node;

  constructor(file: SourceFile, node: Node, reason: string) {
    super(reason);
    this.file = file;
    this.node = node;
  }
}

/** Numbers, texts, booleans, null, undefined and lists of them. Throws `Dynamic`, with `what` in its reason. */
export function literal(
  modules: Modules,
  file: SourceFile,
  expression: Node | null | undefined,
  what: string,
): unknown {
  const node = unwrap(expression);
  const refuse = (at: Node) => new Dynamic(file, at, `${what} is not written as a literal`);
  if (node === null) return undefined;
  const text = stringValue(node);
  if (text !== null) return text;
  switch (node.type) {
    case "Literal":
      if (node.regex || node.bigint) throw refuse(node);
      return node.value;
    case "ArrayExpression":
      return (node.elements as (Node | null)[]).map((item) => {
        if (item === null || item.type === "SpreadElement") throw refuse(node);
        return literal(modules, file, item, what);
      });
    case "UnaryExpression": {
      const value = literal(modules, file, node.argument, what);
      if (typeof value !== "number" || (node.operator !== "-" && node.operator !== "+")) throw refuse(node);
      return node.operator === "-" ? -value : value;
    }
    case "BinaryExpression": {
      const left = literal(modules, file, node.left, what);
      const right = literal(modules, file, node.right, what);
      if (typeof left !== "number" || typeof right !== "number") throw refuse(node);
      if (node.operator === "*") return left * right;
      if (node.operator === "+") return left + right;
      if (node.operator === "-") return left - right;
      if (node.operator === "/") return left / right;
      throw refuse(node);
    }
    case "Identifier": {
      if (node.name === "undefined") return undefined;
      const meaning = modules.meaning(file, node);
      if (meaning?.kind !== "code" || meaning.node.type === "Identifier") throw refuse(node);
      return literal(modules, meaning.file, meaning.node, what);
    }
    case "MemberExpression": {
      const meaning = modules.meaning(file, node);
      if (meaning?.kind !== "code" || meaning.node.type === "MemberExpression") throw refuse(node);
      return literal(modules, meaning.file, meaning.node, what);
    }
    default:
      throw refuse(node);
  }
}

/** The properties of an object that is written out. Throws `Dynamic` for spreads and computed keys. */
export function propertiesOf(file: SourceFile, object: Node | null | undefined, what: string): Map<string, Node> {
  const node = unwrap(object);
  if (node === null) return new Map();
  if (node.type !== "ObjectExpression") throw new Dynamic(file, node, `${what} are not written in place`);
  const found = new Map<string, Node>();
  for (const item of node.properties as Node[]) {
    const key = item.type === "Property" && !item.computed ? String(item.key.name ?? item.key.value) : null;
    if (key === null || key === "__proto__") throw new Dynamic(file, item, `${what} have a spread or a computed key`);
    found.set(key, item.value as Node);
  }
  return found;
}
