// Document: an OpenAPI document as the operations it describes, each with a name of its own and its references followed.
import { TsdevError } from "../../sdk/errors.ts";
import type { Scheme } from "../../sdk/integration/credentials.ts";
import type { Operation, Parameter } from "../../sdk/integration/request.ts";
import { camelCase, reserved, unique } from "./names.ts";
import { follow, settleSelfReferences } from "./references.ts";

// biome-ignore lint/suspicious/noExplicitAny: a document of others; every field is looked at before it is used
type Json = any;

export interface DescribedOperation {
  /** `getPet`; unique without regard to case. */
  readonly name: string;
  readonly summary: string | undefined;
  /** What it touches: the first word of its path. */
  readonly resource: string;
  readonly request: Operation;
  /** Keys of the input that are required; `body` among them. */
  readonly required: ReadonlySet<string>;
  readonly deprecated: boolean;
}

export interface ApiDocument {
  /** What its procedures are called by: `petstore`; empty when there is no letter to make it of. */
  readonly name: string;
  readonly title: string;
  readonly version: string;
  readonly baseUrl: string;
  readonly schemes: Readonly<Record<string, Scheme>>;
  readonly operations: readonly DescribedOperation[];
  /** The document with those names as operation ids, for the generator of contracts. */
  readonly prepared: Json;
}

const methods = ["get", "put", "post", "delete", "options", "head", "patch"] as const;
const safe = new Set(["get", "head", "options"]);
/** What the generated file has by these names already. */
const printedNames = ["procedure", "upstream", "schemas", "z", "undefined"];

/** `name` stands in the place of the title. Throws `invalid_input` for what is no OpenAPI 3.0 or 3.1 document, and names the place. */
export function readDocument(document: Json, name?: string): ApiDocument {
  if (!/^3\.[01](\.\d+)?/.test(String(document?.openapi))) {
    const found = document?.swagger ? `Swagger ${document.swagger}` : `"openapi": ${JSON.stringify(document?.openapi)}`;
    throw new TsdevError("invalid_input", {
      message: `this is ${found}, and not OpenAPI 3.0 or 3.1`,
      fix: "convert it first, for example with `npx swagger2openapi`",
      path: "openapi",
    });
  }
  const prepared = plain(structuredClone(document));
  settleSelfReferences(prepared);
  const schemes = schemesOf(prepared);
  const title = String(prepared.info?.title ?? "API");
  const apiName = nameOf(name, title);
  const names = new Set<string>([...printedNames, apiName.toLowerCase()]);
  const operations: DescribedOperation[] = [];
  for (const [path, item] of Object.entries<Json>(prepared.paths ?? {})) {
    for (const method of methods) {
      const operation = item?.[method];
      if (!operation) continue;
      // An id in another script than Latin gives no name.
      const own = unique(camelCase(String(operation.operationId ?? "")) || camelCase(`${method} ${path}`), names);
      operation.operationId = own;
      const parameters = merged(prepared, item.parameters, operation.parameters);
      operation.parameters = [...parameters, ...undeclared(path, parameters)];
      operations.push(described(prepared, path, method, operation, own, schemes));
    }
    if (item) delete item.parameters;
  }
  if (operations.length === 0) {
    throw new TsdevError("invalid_input", {
      message: "the document has no operation",
      fix: "give another document",
      path: "paths",
    });
  }
  const server = prepared.servers?.[0];
  return {
    name: apiName,
    title,
    version: String(prepared.info?.version ?? ""),
    baseUrl: serverUrl(server),
    schemes,
    operations,
    prepared,
  };
}

/** Throws `invalid_input` where the name that somebody asks for cannot be that of a constant. */
function nameOf(asked: string | undefined, title: string): string {
  const name = camelCase(asked ?? title);
  const isFree = !printedNames.includes(name);
  if (asked === undefined) return isFree ? name : `${name}One`;
  const word = asked.trim().toLowerCase();
  if (isFree && !reserved.has(word)) return name;
  throw new TsdevError("invalid_input", {
    message: `the name "${asked}" is ${isFree ? "a word of the language" : "one that the generated file has for something else"}`,
    fix: `give another one, such as --name ${word}Api`,
    path: "name",
  });
}

function described(
  document: Json,
  path: string,
  method: (typeof methods)[number],
  operation: Json,
  name: string,
  schemes: Readonly<Record<string, Scheme>>,
): DescribedOperation {
  const keys = new Set<string>(["body"]);
  const required = new Set<string>();
  const parameters: Parameter[] = [];
  let idempotencyHeader: string | undefined;
  for (const one of operation.parameters as Json[]) {
    if (one.in === "cookie") continue;
    if (one.in === "header" && /^idempotency-?key$/i.test(one.name)) {
      idempotencyHeader = one.name;
      continue;
    }
    const key = unique(one.in === "header" ? camelCase(one.name) : one.name, keys);
    const style = styleOf(one);
    parameters.push({ key, name: one.name, in: one.in, ...(style ? { style } : {}) });
    if (one.required || one.in === "path") required.add(key);
  }
  const body = follow(document, operation.requestBody);
  const sent = body && bodyKind(body);
  if (body && sent) {
    // The generator takes the one that is sent.
    operation.requestBody = { ...body, content: { [sent.type]: body.content[sent.type] } };
    if (body.required) required.add("body");
  } else delete operation.requestBody;
  const security = securityOf(operation.security ?? document.security, schemes);
  const upper = method.toUpperCase() as Operation["method"];
  return {
    name,
    summary: firstSentence(operation.summary ?? operation.description),
    resource: camelCase(path.split("/").find((part) => part !== "" && !/[{}]|^v\d+$/.test(part)) ?? "root"),
    required,
    deprecated: operation.deprecated === true,
    request: {
      method: upper,
      path,
      ...(parameters.length > 0 ? { parameters } : {}),
      ...(sent ? { body: sent.kind, ...(sent.plain ? {} : { contentType: sent.type }) } : {}),
      answer: safe.has(method) && upper === "HEAD" ? "none" : answerKind(document, operation.responses ?? {}),
      ...(security.length > 0 ? { security } : {}),
      ...(idempotencyHeader === undefined ? {} : { idempotencyHeader }),
    },
  };
}

/** Parameters of the path and of the operation, which stand in their place; references followed. */
function merged(document: Json, shared: Json[] = [], own: Json[] = []): Json[] {
  const all = new Map<string, Json>();
  for (const one of [...shared, ...own]) {
    const parameter = follow(document, one);
    if (parameter?.name && parameter.in) all.set(`${parameter.in} ${parameter.name}`, parameter);
  }
  return [...all.values()];
}

/** Places in a path that the document names no parameter for: without a value the path would be sent with its braces. */
function undeclared(path: string, parameters: Json[]): Json[] {
  const declared = new Set(parameters.filter((one) => one.in === "path").map((one) => one.name));
  const places = new Set([...path.matchAll(/\{([^{}/]+)\}/g)].map(([, name]) => name));
  return [...places]
    .filter((name) => !declared.has(name))
    .map((name) => ({ name, in: "path", required: true, schema: { type: "string" } }));
}

function styleOf(parameter: Json): Parameter["style"] {
  if (parameter.content) return "json";
  if (parameter.in !== "query") return undefined;
  if (parameter.style === "deepObject") return "deepObject";
  if (parameter.style === "spaceDelimited") return "space";
  if (parameter.style === "pipeDelimited") return "pipe";
  return parameter.explode === false ? "comma" : undefined;
}

function bodyKind(body: Json): { kind: NonNullable<Operation["body"]>; type: string; plain: boolean } | undefined {
  const types = Object.keys(body.content ?? {});
  const json = types.find((type) => /^application\/json\b/.test(type)) ?? types.find((type) => /[+/]json\b/.test(type));
  if (json) return { kind: "json", type: json, plain: json === "application/json" };
  const form = types.find((type) => type.startsWith("application/x-www-form-urlencoded"));
  if (form) return { kind: "form", type: form, plain: true };
  const multipart = types.find((type) => type.startsWith("multipart/"));
  if (multipart) return { kind: "multipart", type: multipart, plain: true };
  const text = types.find((type) => type.startsWith("text/"));
  if (text) return { kind: "text", type: text, plain: text === "text/plain" };
  const [other] = types;
  return other === undefined ? undefined : { kind: "binary", type: other, plain: other === "application/octet-stream" };
}

function answerKind(document: Json, responses: Json): Operation["answer"] {
  const successes = Object.entries<Json>(responses)
    .filter(([status]) => /^2/.test(status))
    .map(([, response]) => Object.keys(follow(document, response)?.content ?? {}));
  const types =
    successes.length > 0 ? successes.flat() : Object.keys(follow(document, responses.default)?.content ?? {});
  if (types.some((type) => /[+/]json\b/.test(type) || type === "*/*")) return "json";
  if (types.some((type) => type.startsWith("text/"))) return "text";
  return types.length > 0 ? "binary" : "none";
}

function schemesOf(document: Json): Record<string, Scheme> {
  const found: Record<string, Scheme> = {};
  for (const [name, value] of Object.entries<Json>(document.components?.securitySchemes ?? {})) {
    const scheme = follow(document, value);
    if (scheme?.type === "apiKey" && ["header", "query", "cookie"].includes(scheme.in)) {
      found[name] = { type: "apiKey", in: scheme.in, name: scheme.name };
    } else if (scheme?.type === "http" && /^basic$/i.test(scheme.scheme)) found[name] = { type: "basic" };
    else if (scheme?.type === "http" || scheme?.type === "oauth2" || scheme?.type === "openIdConnect") {
      found[name] = { type: "bearer" };
    }
  }
  return found;
}

/** Alternatives of schemes that can be sent; none at all where one of them is empty. */
function securityOf(security: Json, schemes: Readonly<Record<string, Scheme>>): string[][] {
  if (!Array.isArray(security)) return [];
  const all = security.map((one: Json) => Object.keys(one ?? {}));
  const usable = all.filter((names) => names.every((name) => Object.hasOwn(schemes, name)));
  return usable.filter((names) => names.length > 0).concat(all.some((names) => names.length === 0) ? [[]] : []);
}

function serverUrl(server: Json): string {
  const url = String(server?.url ?? "");
  return url.replaceAll(/\{([^}]+)\}/g, (_, name: string) => String(server.variables?.[name]?.default ?? ""));
}

/**
 * Leaves out what a contract does not need or must not take over: prose, which only makes files differ; `int64`, for
 * which a bigint would be made that JSON cannot send; patterns that are no regular expression of JavaScript.
 */
function plain(value: Json, inside?: string): Json {
  if (Array.isArray(value)) return value.map((item) => plain(item));
  if (typeof value !== "object" || value === null) return value;
  // Below these keys are names of the author, not words of OpenAPI.
  const named = inside === "properties" || inside === "patternProperties";
  const result: Json = {};
  for (const [key, item] of Object.entries<Json>(value)) {
    if (key === "__proto__") continue;
    if (!named && (key === "example" || key === "examples" || key === "externalDocs" || key.startsWith("x-"))) continue;
    if (!named && key === "format" && item === "int64") continue;
    if (!named && key === "pattern" && typeof item === "string" && !isPattern(item)) continue;
    const isSchemaText = !named && key === "description" && typeof item === "string" && !("responses" in value);
    if (isSchemaText && !("in" in value) && inside !== "responses") continue;
    result[key] = plain(item, key);
  }
  return result;
}

function isPattern(text: string): boolean {
  try {
    new RegExp(text, "u");
    return !/[\n\r\u2028\u2029]|(^|[^\\])\//.test(text);
  } catch {
    return false;
  }
}

function firstSentence(text: unknown): string | undefined {
  if (typeof text !== "string") return undefined;
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line === "" ? undefined : (/^.{0,200}?[.](?=\s|$)/.exec(line)?.[0] ?? line.slice(0, 200)).replace(/\.$/, "");
}
