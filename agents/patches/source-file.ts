// SourceFile: one TypeScript file parsed for a codemod, with parent links, and the style that it is written in.
import { type Program, parseSync, visitorKeys } from "oxc-parser";
import { walk } from "oxc-walker";

/** An ESTree node, as loosely as a codemod that checks every field needs it. */
export interface Node {
  type: string;
  start: number;
  end: number;
  // biome-ignore lint/suspicious/noExplicitAny: fields differ by `type`, which is checked before each use
  [field: string]: any;
}

export interface SourceFile {
  path: string;
  text: string;
  program: Program;
  /** False for `.js`, `.mjs` and `.cjs`: no type annotations may be written. */
  typed: boolean;
  comments: readonly { start: number; end: number }[];
  parentOf(node: Node): Node | undefined;
  /** Every node of these types, in order of source. */
  nodes(...types: string[]): Node[];
  /** Line of an offset, from 1. */
  lineOf(offset: number): number;
  /** White space before the first character of the offset's line. */
  indentOf(offset: number): string;
  /** Every word of the file that could be a name, strings and comments included. */
  words: ReadonlySet<string>;
  eol: "\n" | "\r\n";
  /** One level, found from statements in blocks. */
  indentUnit: string;
  semicolons: boolean;
  /** The longest line a formatter of this file would leave, guessed from its longest line of code. */
  width: number;
}

/** Null when the file does not parse: a codemod then has nothing to stand on. */
export function parseSource(path: string, text: string): SourceFile | null {
  // `range` and the fields of a TypeScript tree, in JavaScript files too, are what the scope analysis reads.
  const result = parseSync(path, text, { range: true, astType: "ts" });
  if (result.errors.length > 0 || (result.program.body.length === 0 && text.trim() !== "")) return null;
  const parents = new Map<Node, Node>();
  const all: Node[] = [];
  walk(result.program, {
    enter(node, parent) {
      all.push(node as unknown as Node);
      if (parent) parents.set(node as unknown as Node, parent as unknown as Node);
    },
  });
  const starts = [0];
  for (let index = text.indexOf("\n"); index !== -1; index = text.indexOf("\n", index + 1)) starts.push(index + 1);
  const lineOf = (offset: number) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
  const indentOf = (offset: number) => {
    const start = starts[lineOf(offset) - 1] ?? 0;
    return /^[\t ]*/.exec(text.slice(start))?.[0] ?? "";
  };
  return {
    path,
    text,
    program: result.program,
    typed: !/\.[mc]?jsx?$/.test(path),
    comments: result.comments,
    parentOf: (node) => parents.get(node),
    nodes: (...types) => all.filter((node) => types.includes(node.type)),
    lineOf,
    indentOf,
    words: new Set(text.match(/[\p{ID_Start}$_][\p{ID_Continue}$]*/gu)),
    eol: text.includes("\r\n") ? "\r\n" : "\n",
    indentUnit: indentUnit(all, indentOf),
    semicolons: usesSemicolons(result.program.body as unknown as Node[], text),
    width: widthOf(text),
  };
}

export { visitorKeys };

/** Column of a block's first statement less the block's own: a comment's ` * ` misleads a look at lines. */
function indentUnit(all: readonly Node[], indentOf: (offset: number) => string): string {
  for (const node of all) {
    if (node.type !== "BlockStatement") continue;
    const first = (node.body as Node[])[0];
    if (first === undefined) continue;
    const outer = indentOf(node.start);
    const inner = indentOf(first.start);
    if (inner.length > outer.length && inner.startsWith(outer)) return inner.slice(outer.length);
  }
  return "  ";
}

function usesSemicolons(body: readonly Node[], text: string): boolean {
  const statements = body.filter((node) => /^(Variable|Expression|Import|Return)/.test(node.type));
  const ended = statements.filter((node) => text[node.end - 1] === ";").length;
  return statements.length === 0 || ended * 2 >= statements.length;
}

function widthOf(text: string): number {
  const longest = Math.max(...text.split(/\r?\n/).map((line) => (line.includes("http") ? 0 : line.length)));
  return longest > 100 ? 120 : longest > 80 ? 100 : 80;
}

/** The node without parentheses and without TypeScript's `as`, `satisfies` and `!`. */
export function unwrap(node: Node | null | undefined): Node | null {
  let inner = node ?? null;
  while (
    inner !== null &&
    ["ParenthesizedExpression", "TSAsExpression", "TSSatisfiesExpression", "TSNonNullExpression"].includes(inner.type)
  ) {
    inner = inner.expression as Node;
  }
  return inner;
}

/** The name of `a.name` where it is written plainly, not computed and not optional. */
export function memberName(node: Node | null): string | null {
  if (node?.type !== "MemberExpression" || node.computed || node.optional) return null;
  return node.property.type === "Identifier" ? (node.property.name as string) : null;
}

/** The value of a string literal or of a template without expressions. */
export function stringValue(node: Node | null | undefined): string | null {
  if (node?.type === "Literal" && typeof node.value === "string") return node.value;
  if (node?.type === "TemplateLiteral" && node.expressions.length === 0) {
    return (node.quasis[0]?.value.cooked as string | null | undefined) ?? null;
  }
  return null;
}

/** Function-like node around a node, or null at the top of the file. */
export function functionAround(file: SourceFile, node: Node): Node | null {
  for (let up = file.parentOf(node); up !== undefined; up = file.parentOf(up)) {
    if (/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(up.type)) return up;
  }
  return null;
}
