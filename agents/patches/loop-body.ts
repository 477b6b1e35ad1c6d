// Loop body: what may stand in a loop whose query moves before it. Anything not on the lists here declines.
import type { Variable } from "@typescript-eslint/scope-manager";
import { walk } from "oxc-walker";
import type { Names } from "./names.ts";
import type { NotSure } from "./result.ts";
import { memberName, type Node, type SourceFile } from "./source-file.ts";

export interface LoopBody {
  file: SourceFile;
  names: Names;
  body: Node;
  item: string;
  keyProperty: string | null;
  bound: { kind: "rows" | "result"; name: string; variable: Variable };
  not: (condition: string, reason: string, node: Node) => NotSure;
  /** The query's own statement, which is not looked at. */
  after: Node;
}

const pureGlobals = new Set(["Number", "String", "Boolean", "BigInt", "parseInt", "parseFloat", "structuredClone"]);
const pureNamespaces = new Set(["Math", "Number", "JSON", "Object", "Array", "String", "Date"]);
/** Methods of strings, numbers, dates and arrays that change nothing and call only the function they are given. */
const pureMethods = new Set(
  `at concat endsWith entries every filter find findIndex findLast flatMap flat getTime includes indexOf join keys
  localeCompare map padEnd padStart reduce repeat replace replaceAll slice some split startsWith substring toFixed
  toISOString toLowerCase toSorted toString toUpperCase trim trimEnd trimStart values has get`.split(/\s+/),
);
const stepping = /^(ReturnStatement|BreakStatement|ThrowStatement)$/;

/** Throws `NotSure`, or says whether row objects leave the iteration. */
export function checkBody(given: LoopBody): { escapes: boolean } {
  const { body, after, not, file } = given;
  for (const node of file.nodes("YieldExpression", "LabeledStatement")) {
    if (inside(node, body)) throw not("generator-or-label", "the loop yields or has a label", node);
  }
  walk(body as never, {
    enter(raw) {
      const node = raw as unknown as Node;
      if (node === after) {
        this.skip();
        return;
      }
      check(node, given);
    },
  });
  return { escapes: rowsEscape(given) };
}

function check(node: Node, given: LoopBody): void {
  const { not, file, names } = given;
  if (stepping.test(node.type) && leavesLoop(node, given)) {
    throw not("early-exit", "the loop can end before its last element: a batch would query for all", node);
  }
  switch (node.type) {
    case "AwaitExpression":
      throw not("other-await", "the loop awaits something else, between which the data may change", node);
    case "TryStatement":
      throw not("per-item-try", "the loop handles errors for each element", node);
    case "NewExpression": {
      const name = node.callee.type === "Identifier" ? String(node.callee.name) : "";
      if (
        /^(Date|Map|Set)$/.test(name) &&
        names.isGlobal(node.callee) &&
        (name !== "Date" || node.arguments.length > 0)
      ) {
        return;
      }
      throw not("unknown-call", "the loop makes an object by code that cannot be seen", node);
    }
    case "TaggedTemplateExpression":
      throw not("unknown-call", "the loop calls a template tag", node);
    case "ImportExpression":
      throw not("unknown-call", "the loop imports", node);
    case "CallExpression":
      checkCall(node, given);
      return;
    case "FunctionDeclaration":
    case "ClassDeclaration":
    case "ClassExpression":
      throw not("closure", "the loop declares a function or a class that may outlive the iteration", node);
    case "ArrowFunctionExpression":
    case "FunctionExpression": {
      const parent = file.parentOf(node);
      const argument = parent?.type === "CallExpression" && parent.callee !== node;
      if (!argument || node.async)
        throw not("closure", "the loop makes a function that may outlive the iteration", node);
      return;
    }
    case "AssignmentExpression":
      checkWrite(node, node.left as Node, given);
      return;
    case "UpdateExpression":
      checkWrite(node, node.argument as Node, given);
      return;
    case "UnaryExpression":
      if (node.operator === "delete") throw not("row-write", "the loop deletes a property", node);
      return;
  }
}

function checkCall(node: Node, given: LoopBody): void {
  const { not, names, body, item } = given;
  const callee = node.callee as Node;
  const unknown = not("unknown-call", "the loop calls code that cannot be seen from here and may write", node);
  if (callee.type === "Identifier") {
    if (pureGlobals.has(callee.name) && names.isGlobal(callee)) return;
    throw unknown;
  }
  const method = callee.type === "MemberExpression" && !callee.computed ? String(callee.property.name) : "";
  const owner = callee.object as Node | undefined;
  if (method === "" || owner === undefined) throw unknown;
  if (owner.type === "Identifier" && pureNamespaces.has(owner.name) && names.isGlobal(owner)) {
    if (/^(assign|defineProperty|freeze|setPrototypeOf|now|random)$/.test(method)) throw unknown;
    return;
  }
  if (method === "push" || method === "set" || method === "add") {
    // Collecting into an array, Map or Set that this function made changes nothing that the query depends on.
    const variable = owner.type === "Identifier" ? names.variableOf(owner) : null;
    const definition = variable?.defs[0]?.node as unknown as Node | undefined;
    const init = definition?.type === "VariableDeclarator" ? (definition.init as Node | null) : null;
    const collection =
      init?.type === "ArrayExpression" ||
      (init?.type === "NewExpression" && /^(Map|Set|Array)$/.test(String(init.callee.name)));
    if (collection && variable !== null && variable !== undefined && names.neverReassigned(variable)) return;
    throw unknown;
  }
  if (pureMethods.has(method) && !rootIs(owner, item, body)) return;
  throw unknown;
}

/** `order.total()` runs a method of an element, which may be anything; `order.name.trim()` is a string's. */
function rootIs(owner: Node, item: string, _body: Node): boolean {
  return owner.type === "Identifier" && owner.name === item;
}

function checkWrite(node: Node, target: Node, given: LoopBody): void {
  const { not, item, keyProperty, bound, names } = given;
  if (target.type === "Identifier") return;
  const root = rootOf(target);
  const name = memberName(target);
  if (name === null || root === null) throw not("row-write", "the loop writes to a place that cannot be told", node);
  if (root.name === item && target.object === root) {
    if (name === keyProperty || keyProperty === null) {
      throw not("key-write", "the loop changes the key that it looks up by", node);
    }
    return;
  }
  if (names.variableOf(root) === bound.variable) {
    throw not("row-write", "the loop writes to the rows, which duplicates of a key would share", node);
  }
  throw not("row-write", "the loop writes to an object that other elements may share", node);
}

function rootOf(node: Node): Node | null {
  let inner = node;
  while (inner.type === "MemberExpression") inner = inner.object as Node;
  return inner.type === "Identifier" ? inner : null;
}

function inside(node: Node, outer: Node): boolean {
  return node.start >= outer.start && node.end <= outer.end;
}

/** True unless an inner loop, switch or function is what the statement leaves. */
function leavesLoop(node: Node, { file, body }: LoopBody): boolean {
  for (let up = file.parentOf(node); up !== undefined && up !== body; up = file.parentOf(up)) {
    if (/Function/.test(up.type)) return node.type === "ThrowStatement";
    if (node.type === "BreakStatement" && /^(For|While|DoWhile|Switch)/.test(up.type)) return false;
  }
  return true;
}

/**
 * True when a row object, not only values read from it, may be kept: rows passed on, spread apart, stored. Names bound
 * to one row (`const customer = rows[0]`) are followed.
 */
function rowsEscape(given: LoopBody): boolean {
  const { bound, body } = given;
  if (bound.kind === "rows") return valueEscapes(bound.variable, given, "rows");
  return given.names.referencesIn(bound.variable, body).some((reference) => {
    const member = given.file.parentOf(reference);
    if (member?.type === "VariableDeclarator" && member.id === reference) return false;
    if (member === undefined || memberName(member) !== "rows") {
      throw given.not("result-shape", "more than `rows` of the result is used", reference);
    }
    return useEscapes(member, given, "rows");
  });
}

function valueEscapes(variable: Variable, given: LoopBody, kind: "rows" | "row"): boolean {
  return given.names.referencesIn(variable, given.body).some((reference) => {
    if (
      given.file.parentOf(reference)?.type === "VariableDeclarator" &&
      given.file.parentOf(reference)?.id === reference
    ) {
      return false;
    }
    return useEscapes(reference, given, kind);
  });
}

function useEscapes(node: Node, given: LoopBody, kind: "rows" | "row"): boolean {
  const { file, names, body } = given;
  const parent = file.parentOf(node);
  if (parent === undefined) return true;
  // The declaration `const { rows } = …` itself.
  if (parent.type === "Property" && file.parentOf(parent)?.type === "ObjectPattern") return false;
  if (/^(TSNonNullExpression|ParenthesizedExpression)$/.test(parent.type)) return useEscapes(parent, given, kind);
  if (/^(IfStatement|UnaryExpression|BinaryExpression|ConditionalExpression|ChainExpression)$/.test(parent.type)) {
    if (parent.type === "ChainExpression") return useEscapes(parent, given, kind);
    if (parent.type === "ConditionalExpression") return parent.test !== node;
    return false;
  }
  if (parent.type === "VariableDeclarator" && parent.init === node) {
    if (parent.id.type === "Identifier" && kind === "row") {
      const variable = names.declaredBy(parent.id);
      return variable === null || !inside(parent, body) || valueEscapes(variable, given, "row");
    }
    if (parent.id.type === "ArrayPattern" && kind === "rows") {
      return (parent.id.elements as (Node | null)[]).some((element) => {
        if (element === null) return false;
        const variable = element.type === "Identifier" ? names.declaredBy(element) : null;
        return variable === null || valueEscapes(variable, given, "row");
      });
    }
    // `const { name } = row` reads values.
    return !(kind === "row" && parent.id.type === "ObjectPattern");
  }
  if (parent.type === "MemberExpression" && parent.object === node) {
    if (kind === "row") return false;
    if (parent.computed) return useEscapes(parent, given, "row");
    return parent.property.name !== "length";
  }
  return true;
}
