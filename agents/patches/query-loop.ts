// Query loop: finds the awaited `query(text, [key])` that a finding points at and checks that its loop can be batched.
import { analyze, type Variable } from "@typescript-eslint/scope-manager";
import { checkBody } from "./loop-body.ts";
import { Names } from "./names.ts";
import { NotSure } from "./result.ts";
import { memberName, type Node, type SourceFile, stringValue, unwrap, visitorKeys } from "./source-file.ts";

export interface QueryLoop {
  file: SourceFile;
  loop: Node;
  /** The `for (const NAME of …)` variable and the list. */
  item: string;
  list: string;
  /** The statement inside the loop that awaits the query. */
  statement: Node;
  /** Name that the rows, or the result, are bound to. */
  bound: { kind: "rows" | "result"; name: string };
  call: Node;
  text: Node;
  /** The array of parameters, the key's element and its number from 1. */
  parameters: Node;
  key: Node;
  parameter: number;
  /** `x.prop` or null for `x` itself. */
  property: string | null;
  /** True when rows leave the iteration as objects: each must then get its own copy. */
  escapes: boolean;
  listVariable: Variable;
}

/** The loop around the query at `line`, or the only query with this text. Throws `NotSure` with the failed condition. */
export function queryLoop(file: SourceFile, line: number, matches: (text: string) => boolean): QueryLoop {
  const calls = file
    .nodes("CallExpression")
    .filter((call) => memberName(call.callee as Node) === "query")
    .filter((call) => {
      const text = stringValue((call.arguments as Node[])[0]);
      return text === null ? false : matches(text);
    });
  const at = calls.filter((call) => file.lineOf(call.start) <= line && line <= file.lineOf(call.end));
  const call = at.length === 1 ? at[0] : calls.length === 1 ? calls[0] : undefined;
  if (call === undefined) {
    throw new NotSure(
      "query-not-found",
      `no \`query("…", […])\` with the text that was seen stands at line ${line}`,
      line,
    );
  }
  const where = file.lineOf(call.start);
  const not = (condition: string, reason: string) => new NotSure(condition, reason, where);

  const awaited = file.parentOf(call);
  const declarator = awaited === undefined ? undefined : file.parentOf(awaited);
  const statement = declarator === undefined ? undefined : file.parentOf(declarator);
  const body = statement === undefined ? undefined : file.parentOf(statement);
  const loop = body === undefined ? undefined : file.parentOf(body);
  if (awaited?.type !== "AwaitExpression") throw not("not-awaited", "the query is not awaited where it is called");
  if (declarator?.type !== "VariableDeclarator" || statement?.type !== "VariableDeclaration") {
    throw not("result-shape", "the result is not bound by a declaration such as `const { rows } = await …`");
  }
  if (statement.declarations.length !== 1) throw not("result-shape", "one statement declares several variables");
  if (loop?.type !== "ForOfStatement" || body?.type !== "BlockStatement") {
    throw not("not-in-loop", "the query does not stand directly in the body of a `for (const x of list)` loop");
  }
  if (loop.await) throw not("async-iterator", "the list is an async iterator: reading ahead would change it");
  if (body.body[0] !== statement) throw not("query-not-first", "something runs before the query in the loop");
  const outside = file.parentOf(loop);
  if (outside?.type !== "BlockStatement" && outside?.type !== "Program") {
    throw not("loop-not-statement", "the loop is labelled or not in a list of statements");
  }

  const left = loop.left as Node;
  const variable = left.type === "VariableDeclaration" ? (left.declarations[0].id as Node) : left;
  const list = loop.right as Node;
  if (left.type !== "VariableDeclaration" || left.kind === "var" || variable.type !== "Identifier") {
    throw not("loop-form", "the loop variable is not a plain `const x`");
  }
  if (list.type !== "Identifier") throw not("loop-form", "the list is not a plain name");
  const [text, parameters, ...rest] = call.arguments as Node[];
  if (text === undefined || parameters?.type !== "ArrayExpression" || rest.length > 0) {
    throw not("query-arguments", "the query is not called with a text and a literal array of parameters");
  }

  const scopes = analyze(file.program as never, { childVisitorKeys: visitorKeys as never, sourceType: "module" });
  const names = new Names(scopes);
  const receiver = (call.callee as Node).object as Node;
  if (!fixedReceiver(receiver, names)) {
    throw not("changing-client", "what the query is called on is not a name that never changes");
  }
  const listVariable = names.variableOf(list);
  if (listVariable === null || !names.neverReassigned(listVariable)) {
    throw not("list-reassigned", `\`${list.name}\` is assigned again somewhere`);
  }
  if (names.referencesIn(listVariable, body).length > 0) {
    throw not("list-used-in-loop", `the loop uses \`${list.name}\`, which may change it while it runs`);
  }
  const itemVariable = names.declaredBy(variable);
  if (itemVariable === null || !names.neverReassigned(itemVariable)) {
    throw not("loop-form", `\`${variable.name}\` is assigned in the loop`);
  }

  const elements = parameters.elements as (Node | null)[];
  let key: Node | null = null;
  let parameter = 0;
  for (const [index, element] of elements.entries()) {
    if (element === null || element.type === "SpreadElement") throw not("query-arguments", "the parameters are spread");
    if (isKey(element, variable.name)) {
      if (key !== null) throw not("two-keys", "more than one parameter depends on the loop variable");
      key = element;
      parameter = index + 1;
    } else if (!isInvariant(element, names, body)) {
      throw not(
        "loop-carried",
        `\`${file.text.slice(element.start, element.end)}\` may differ from iteration to iteration`,
      );
    }
  }
  if (key === null) throw not("no-key", `no parameter is \`${variable.name}\` or a plain property of it`);

  const bound = boundName(declarator.id as Node, not);
  const boundVariable = names.declaredBy(boundIdentifier(declarator.id as Node));
  if (boundVariable === null || (statement.kind !== "const" && !names.neverReassigned(boundVariable))) {
    throw not("result-shape", `\`${bound.name}\` is assigned again`);
  }
  const property = key.type === "Identifier" ? null : memberName(key);
  const { escapes } = checkBody({
    file,
    names,
    body,
    item: variable.name as string,
    keyProperty: property,
    bound: { ...bound, variable: boundVariable },
    not: (condition, reason, node) => new NotSure(condition, reason, file.lineOf(node.start)),
    after: statement,
  });
  return {
    file,
    loop,
    item: variable.name as string,
    list: list.name as string,
    statement,
    bound,
    call,
    text,
    parameters,
    key,
    parameter,
    property,
    escapes,
    listVariable,
  };
}

/** `pool`, `this.pool`, `deps.db`: plain names all the way, the first of which never changes. */
function fixedReceiver(node: Node, names: Names): boolean {
  if (node.type === "ThisExpression") return true;
  if (node.type === "MemberExpression") return memberName(node) !== null && fixedReceiver(node.object as Node, names);
  if (node.type !== "Identifier") return false;
  const variable = names.variableOf(node);
  return variable !== null && names.neverReassigned(variable);
}

function isKey(node: Node, item: string): boolean {
  if (node.type === "Identifier") return node.name === item;
  return memberName(node) !== null && node.object.type === "Identifier" && node.object.name === item;
}

/** A literal, or a name from outside the loop that is never assigned again. */
function isInvariant(node: Node, names: Names, body: Node): boolean {
  if (node.type === "Literal") return true;
  if (node.type !== "Identifier") return false;
  const variable = names.variableOf(node);
  if (variable === null || !names.neverReassigned(variable)) return false;
  return variable.identifiers.every((identifier) => {
    const place = identifier as unknown as Node;
    return place.start < body.start || place.end > body.end;
  });
}

function boundIdentifier(id: Node): Node {
  return id.type === "ObjectPattern" ? (unwrap(id.properties[0]?.value as Node) ?? id) : id;
}

function boundName(id: Node, not: (condition: string, reason: string) => NotSure): QueryLoop["bound"] {
  if (id.type === "Identifier") return { kind: "result", name: id.name as string };
  if (id.type === "ObjectPattern" && id.properties.length === 1) {
    const item = id.properties[0] as Node;
    if (item.type === "Property" && !item.computed && item.key.name === "rows" && item.value.type === "Identifier") {
      return { kind: "rows", name: item.value.name as string };
    }
  }
  throw not("result-shape", "more than `rows` of the result is used");
}
