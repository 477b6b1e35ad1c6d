// Key type: proof that a key compares in a JavaScript Map exactly as it compares in Postgres.
import type { QueryLoop } from "./query-loop.ts";
import { NotSure } from "./result.ts";
import { memberName, type Node, stringValue, unwrap } from "./source-file.ts";
import type { SqlTypes } from "./sql-types.ts";

/** `pg` gives the first two as numbers and `bigint` as a canonical string; `uuid` is always lower case. */
const comparable = new Set(["smallint", "integer", "bigint", "uuid"]);

/**
 * Two ways to know it: the list came from a query whose column has the parameter's type, or the key is annotated as
 * `number` and the parameter is an integer. Texts, decimals and dates have spellings that are equal in SQL only.
 */
export async function checkKeyType(
  loop: QueryLoop,
  parameterType: string | undefined,
  types: SqlTypes,
): Promise<string> {
  const line = loop.file.lineOf(loop.call.start);
  if (parameterType === undefined || !comparable.has(parameterType)) {
    const reason = `keys of type ${parameterType ?? "unknown"} may be equal in Postgres and different in JavaScript`;
    throw new NotSure("unknown-key-type", reason, line);
  }
  const source = sourceQuery(loop);
  if (source !== null && loop.property !== null) {
    const described = await types(source);
    const column = described?.columns.find(({ name }) => name === loop.property);
    if (column?.type === parameterType) {
      return `\`${loop.item}.${loop.property}\` comes from a column of type ${parameterType}, as the key it is compared with`;
    }
    if (
      column !== undefined &&
      isInteger(column.type) &&
      isInteger(parameterType) &&
      column.type !== "bigint" &&
      parameterType !== "bigint"
    ) {
      return `\`${loop.item}.${loop.property}\` and the key that it is compared with are both small integers`;
    }
  }
  if (parameterType !== "bigint" && isInteger(parameterType) && annotatedAsNumber(loop)) {
    return `the key is annotated as \`number\` and compared with a column of type ${parameterType}`;
  }
  const key = loop.property === null ? loop.item : `${loop.item}.${loop.property}`;
  throw new NotSure("unknown-key-type", `the type of \`${key}\` at run time is not known`, line);
}

function isInteger(type: string): boolean {
  return type === "smallint" || type === "integer" || type === "bigint";
}

/** The text of the query that `const { rows: list } = await x.query("…")` took the list from. */
function sourceQuery(loop: QueryLoop): string | null {
  const declarator = loop.listVariable.defs[0]?.node as unknown as Node | undefined;
  if (declarator?.type !== "VariableDeclarator" || declarator.id.type !== "ObjectPattern") return null;
  const item = (declarator.id.properties as Node[]).find((property) => property.value?.name === loop.list);
  const awaited = unwrap(declarator.init as Node | null);
  const call = awaited?.type === "AwaitExpression" ? unwrap(awaited.argument as Node) : null;
  if (item?.key?.name !== "rows" || call?.type !== "CallExpression" || memberName(call.callee) !== "query") return null;
  return stringValue((call.arguments as Node[])[0]);
}

function annotatedAsNumber(loop: QueryLoop): boolean {
  const definition = loop.listVariable.defs[0];
  const name = definition?.name as unknown as Node | undefined;
  const annotation = name?.typeAnnotation?.typeAnnotation as Node | undefined;
  const element = elementType(annotation);
  if (element === null) return false;
  if (loop.property === null) return element.type === "TSNumberKeyword";
  const members = membersOf(loop, element);
  const member = members?.find((item) => item.type === "TSPropertySignature" && item.key.name === loop.property);
  return member?.typeAnnotation?.typeAnnotation?.type === "TSNumberKeyword";
}

/** `T` of `T[]`, `readonly T[]`, `Array<T>` and `ReadonlyArray<T>`. */
function elementType(annotation: Node | undefined): Node | null {
  if (annotation?.type === "TSTypeOperator") return elementType(annotation.typeAnnotation as Node);
  if (annotation?.type === "TSArrayType") return annotation.elementType as Node;
  if (annotation?.type === "TSTypeReference" && /^(Readonly)?Array$/.test(String(annotation.typeName.name))) {
    return (annotation.typeArguments?.params?.[0] as Node | undefined) ?? null;
  }
  return null;
}

function membersOf(loop: QueryLoop, type: Node): Node[] | null {
  if (type.type === "TSTypeLiteral") return type.members as Node[];
  if (type.type !== "TSTypeReference") return null;
  const found = loop.file
    .nodes("TSInterfaceDeclaration", "TSTypeAliasDeclaration")
    .filter((declaration) => declaration.id.name === type.typeName.name);
  const [declaration] = found;
  if (found.length !== 1 || declaration === undefined) return null;
  if (declaration.type === "TSInterfaceDeclaration") return declaration.body.body as Node[];
  return declaration.typeAnnotation.type === "TSTypeLiteral" ? (declaration.typeAnnotation.members as Node[]) : null;
}
