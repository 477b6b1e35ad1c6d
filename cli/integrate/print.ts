// Print: the procedures of an API as TypeScript, one for each operation.
import { variableOf } from "../../sdk/integration/credentials.ts";
import type { Contracts } from "./contracts.ts";
import type { ApiDocument, DescribedOperation } from "./document.ts";

const identifier = /^[A-Za-z_$][\w$]*$/;
const lineLimit = 120;

export function printProcedures(name: string, api: ApiDocument, contracts: Contracts, from: string): string {
  const used = api.operations.map((operation) => printOne(name, operation, contracts));
  const usesZod = used.some((text) => /\bz\./.test(text));
  const usesSchemas = used.some((text) => /\bschemas\./.test(text));
  const variables = Object.keys(api.schemes).map((scheme) => variableOf(name, scheme));
  return [
    'import { procedure } from "@tsdev/sdk";',
    'import { upstream } from "@tsdev/sdk/integration";',
    ...(usesZod ? ['import { z } from "zod";'] : []),
    ...(usesSchemas ? ['import * as schemas from "./schemas.ts";'] : []),
    "",
    `/** ${comment(`${api.title} ${api.version}`.trim())}, from ${comment(from)}.${
      variables.length > 0 ? ` Credentials: ${variables.join(", ")}, or \`${name}.configure({ auth })\`.` : ""
    } */`,
    `export const ${name} = upstream({`,
    `  name: ${text(name)},`,
    `  baseUrl: ${text(api.baseUrl)},`,
    ...(variables.length > 0 ? [`  schemes: ${literal(api.schemes, 2)},`] : []),
    "});",
    ...used.map((one) => `\n${one}`),
    "",
  ].join("\n");
}

function printOne(api: string, operation: DescribedOperation, contracts: Contracts): string {
  const { request } = operation;
  const reading = request.method === "GET" || request.method === "HEAD" || request.method === "OPTIONS";
  const idempotent = reading || ["PUT", "DELETE"].includes(request.method) || request.idempotencyHeader !== undefined;
  const resource = [`${api}.${operation.resource}`];
  const doc = [
    ...(operation.summary ? [`${comment(operation.summary)}.`] : []),
    ...(operation.deprecated ? ["@deprecated by the service"] : []),
  ];
  return [
    ...(doc.length > 0 ? [`/** ${doc.join(" ")} */`] : []),
    `export const ${operation.name} = procedure({`,
    `  name: ${text(`${api}.${operation.name}`)},`,
    ...(operation.summary ? [`  summary: ${text(operation.summary)},`] : []),
    `  input: ${inputOf(operation, contracts)},`,
    `  output: ${outputOf(operation, contracts)},`,
    `  effects: ${literal({ reads: resource, writes: reading ? [] : resource }, 2)},`,
    `  idempotent: ${idempotent},`,
    // With `await`, so that this line stands in the stack of the request, and in its span.
    "  handler: async (input, ctx) =>",
    `    await ${api}.call(`,
    `      ${literal(request, 6)},`,
    "      input,",
    "      ctx,",
    "    ),",
    "});",
  ].join("\n");
}

function inputOf({ name, request, required }: DescribedOperation, { exports }: Contracts): string {
  const groups = { path: "path", query: "query", header: "headers" } as const;
  const fields = (request.parameters ?? []).map((parameter) => {
    const group = exports.get(`z${name}${groups[parameter.in]}`.toLowerCase());
    const schema = group === undefined ? "z.string()" : `schemas.${group}.shape${member(parameter.name)}`;
    // A group's own fields say themselves whether they are optional.
    return `${key(parameter.key)}: ${group === undefined && !required.has(parameter.key) ? `${schema}.optional()` : schema}`;
  });
  if (request.body) {
    const schema = bodyOf(name, request.body, exports);
    fields.push(`body: ${required.has("body") ? schema : `${schema}.optional()`}`);
  }
  if (fields.length === 0) return "z.object({})";
  const short = `z.object({ ${fields.join(", ")} })`;
  if (short.length + "  input: ,".length <= lineLimit) return short;
  return `z.object({\n${fields.map((field) => `    ${field},\n`).join("")}  })`;
}

function bodyOf(name: string, kind: string, exports: ReadonlyMap<string, string>): string {
  if (kind === "multipart")
    return "z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.instanceof(Blob)]))";
  if (kind === "text") return "z.string()";
  if (kind === "binary") return "z.instanceof(Uint8Array)";
  const schema = exports.get(`z${name}body`.toLowerCase());
  return schema === undefined ? "z.unknown()" : `schemas.${schema}`;
}

function outputOf({ name, request }: DescribedOperation, { exports }: Contracts): string {
  if (request.answer === "none") return "z.void()";
  if (request.answer === "text") return "z.string()";
  if (request.answer === "binary") return "z.instanceof(Uint8Array)";
  const schema = exports.get(`z${name}response`.toLowerCase());
  return schema === undefined ? "z.unknown()" : `schemas.${schema}`;
}

/** A JSON value as an expression, on one line where it fits. */
function literal(value: unknown, indent: number): string {
  if (Array.isArray(value)) {
    const items = value.map((item) => literal(item, indent + 2));
    return wrap("[", items, "]", indent, "");
  }
  if (typeof value === "object" && value !== null) {
    const items = Object.entries(value).map(([name, item]) => `${key(name)}: ${literal(item, indent + 2)}`);
    return wrap("{", items, "}", indent, " ");
  }
  return text(value);
}

function wrap(open: string, items: string[], close: string, indent: number, space: string): string {
  if (items.length === 0) return open + close;
  const short = `${open}${space}${items.join(", ")}${space}${close}`;
  if (indent + short.length + 12 <= lineLimit && !short.includes("\n")) return short;
  const inner = " ".repeat(indent + 2);
  return `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${" ".repeat(indent)}${close}`;
}

/** A string as it may stand in a program, whatever is in it. */
function text(value: unknown): string {
  return JSON.stringify(value).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

function key(name: string): string {
  return name === "__proto__" ? '["__proto__"]' : identifier.test(name) ? name : text(name);
}

function member(name: string): string {
  return identifier.test(name) ? `.${name}` : `[${text(name)}]`;
}

function comment(words: string): string {
  return words.replaceAll("*/", "* /").replaceAll(/[\s\u2028\u2029]+/g, " ");
}
