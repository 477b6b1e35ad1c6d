// Request: an operation's input as address, headers and body, as OpenAPI says.
import { TsdevError } from "../errors.ts";

export interface Parameter {
  /** Of the input. */
  readonly key: string;
  /** Of the request. */
  readonly name: string;
  readonly in: "path" | "query" | "header";
  /** Default: repeated for a query (`tags=a&tags=b`), else joined by commas. */
  readonly style?: "comma" | "space" | "pipe" | "deepObject" | "json";
}

export interface Operation {
  readonly method: "GET" | "PUT" | "POST" | "DELETE" | "OPTIONS" | "HEAD" | "PATCH";
  /** `/pets/{petId}` */
  readonly path: string;
  readonly parameters?: readonly Parameter[];
  /** How the input's `body` is sent. */
  readonly body?: "json" | "form" | "multipart" | "text" | "binary";
  readonly contentType?: string;
  readonly answer: "json" | "text" | "binary" | "none";
  readonly security?: readonly (readonly string[])[];
  /** The header that makes the service do it once only; gets `ctx.idempotencyKey`. */
  readonly idempotencyHeader?: string;
}

export function urlOf(
  baseUrl: string,
  { path, parameters = [] }: Operation,
  input: Readonly<Record<string, unknown>>,
  headers: Headers,
): URL {
  let filled = path;
  const query = new URLSearchParams();
  for (const parameter of parameters) {
    const value = input[parameter.key];
    if (value === undefined || value === null) continue;
    if (parameter.in === "path") filled = filled.replaceAll(`{${parameter.name}}`, segment(textOf(value), parameter));
    else if (parameter.in === "header") headers.set(parameter.name, textOf(value));
    else for (const [name, text] of queryOf(parameter, value)) query.append(name, text);
  }
  const url = new URL(`${baseUrl.replace(/\/+$/, "")}${filled}`);
  for (const [name, text] of query) url.searchParams.append(name, text);
  return url;
}

export function bodyOf(
  { body, contentType }: Operation,
  input: Readonly<Record<string, unknown>>,
  headers: Headers,
): RequestInit["body"] | undefined {
  const value = input.body;
  if (body === undefined || value === undefined) return undefined;
  if (body === "multipart") return multipart(value as object);
  const types = { json: "application/json", form: "", text: "text/plain", binary: "application/octet-stream" };
  if (types[body] !== "") headers.set("content-type", contentType ?? types[body]);
  if (body === "json") return JSON.stringify(value);
  if (body === "form") {
    const pairs = Object.entries(value as object).filter(([, one]) => one !== undefined);
    return new URLSearchParams(pairs.map(([key, one]): [string, string] => [key, textOf(one)]));
  }
  return value as string | Uint8Array<ArrayBuffer>;
}

function multipart(value: object): FormData {
  const form = new FormData();
  for (const [key, one] of Object.entries(value)) {
    if (one instanceof Blob) form.append(key, one);
    else if (one !== undefined) form.append(key, textOf(one));
  }
  return form;
}

function queryOf({ name, style }: Parameter, value: unknown): [string, string][] {
  if (style === "json") return [[name, JSON.stringify(value)]];
  if (Array.isArray(value)) {
    if (style === undefined) return value.map((item) => [name, textOf(item)]);
    return [[name, value.map(textOf).join(style === "space" ? " " : style === "pipe" ? "|" : ",")]];
  }
  if (typeof value !== "object" || value === null || value instanceof Date) return [[name, textOf(value)]];
  const pairs = Object.entries(value).filter(([, one]) => one !== undefined && one !== null);
  return style === "comma"
    ? [[name, pairs.flatMap(([key, one]) => [key, textOf(one)]).join(",")]]
    : pairs.map(([key, one]) => [style === "deepObject" ? `${name}[${key}]` : key, textOf(one)]);
}

function textOf(value: unknown): string {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(textOf).join(",");
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

/** A value cannot leave its segment: `..` and an empty one would name another operation. */
function segment(text: string, { key }: Parameter): string {
  if (text === "" || text === "." || text === "..") {
    throw new TsdevError("invalid_input", {
      message: `"${key}" is ${text === "" ? "empty" : `"${text}"`}, which is no segment of a path`,
      fix: "give it a value",
      path: key,
    });
  }
  return encodeURIComponent(text);
}
