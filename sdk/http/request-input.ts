// Request input: how the input of a procedure is put together from the path, the query, the headers and the body.
import type { Context } from "hono";
import { TsdevError } from "../errors.ts";
import type { AnyProcedure, HttpRoute } from "../procedures/procedure.ts";
import { decodeObject, decoderOf } from "./decode.ts";
import { isForm, parseJson, readForm, readJsonText } from "./read-body.ts";
import { contains, mayHaveKey } from "./schema-walk.ts";

/** Reads an input; what does not fit the contract is left for it to refuse. */
export type ReadInput = (c: Context) => Promise<unknown>;

const file = new Set(["file"]);

/** True when the input is sent as a form: JSON carries no files. */
export function takesFiles(procedure: AnyProcedure): boolean {
  return contains(procedure.input, file);
}

/** Of `POST /rpc/{name}`: the body is the input. */
export function rpcInput(procedure: AnyProcedure, maxBytes: number): ReadInput {
  const decode = decoderOf(procedure.input, "json");
  const files = takesFiles(procedure);
  const types = typesOf(files);
  return async (c) => {
    if (files && isForm(c)) return formInput(procedure, await readForm(c, maxBytes));
    const body = parseJson(await readJsonText(c, maxBytes, types));
    const input = body === undefined ? {} : body;
    return decode ? decode(input) : input;
  };
}

/** Where each key of a route's input stands in a request. */
export interface Places {
  readonly path: readonly string[];
  /** Undefined: all that the path and the headers do not name. */
  readonly query: readonly string[] | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: boolean;
}

/** Throws `invalid_config` for a name in the route that the contract does not have. */
export function placesOf(procedure: AnyProcedure, route: HttpRoute): Places {
  const path = [...route.path.matchAll(/:(\w+)/g)].map((match) => match[1]!);
  const headers = route.headers ?? {};
  const body = route.method !== "GET" && route.method !== "DELETE";
  const query = route.query ?? (body ? [] : undefined);
  for (const [where, keys] of Object.entries({ path, query: query ?? [], headers: Object.keys(headers) })) {
    for (const key of keys) {
      if (mayHaveKey(procedure.input, key)) continue;
      throw new TsdevError("invalid_config", {
        message: `procedure "${procedure.name}": the ${where} of its route names "${key}", which its input does not have`,
        fix: `name a key of the input, or add "${key}" to it`,
        path: `http.${where}`,
      });
    }
  }
  return { path, query, headers, body };
}

export function routeInput(procedure: AnyProcedure, route: HttpRoute, maxBytes: number): ReadInput {
  const places = placesOf(procedure, route);
  const files = takesFiles(procedure);
  const types = typesOf(files);
  const decodeBody = decoderOf(procedure.input, "json");
  const outside = [...places.path, ...(places.query ?? []), ...Object.keys(places.headers)];
  const texts = new Set(outside);
  const all = places.query === undefined;
  const formOf = (key: string) => (all || texts.has(key) ? "text" : "json");
  return async (c) => {
    if (!places.body) return decodeObject(procedure.input, aside(c, places), formOf);
    if (files && isForm(c)) {
      const form = await readForm(c, maxBytes);
      if (outside.length === 0 || form.isJson) return formInput(procedure, form);
      return decodeObject(procedure.input, { ...form.fields, ...aside(c, places) }, () => "text");
    }
    const body = parseJson(await readJsonText(c, maxBytes, types));
    if (outside.length === 0) {
      const input = body === undefined ? {} : body;
      return decodeBody ? decodeBody(input) : input;
    }
    if (body !== undefined && (typeof body !== "object" || body === null || Array.isArray(body))) {
      throw new TsdevError("invalid_input", { message: "the body is no JSON object", fix: "send a JSON object" });
    }
    // What stands outside the body stands there alone: a body cannot put another id in the place of the path's.
    const own = Object.entries(body ?? {}).filter(([key]) => !texts.has(key));
    return decodeObject(procedure.input, { ...Object.fromEntries(own), ...aside(c, places) }, formOf);
  };
}

function formInput(procedure: AnyProcedure, { fields, isJson }: { fields: Record<string, unknown>; isJson: boolean }) {
  if (!isJson) return decodeObject(procedure.input, fields, () => "text");
  const decode = decoderOf(procedure.input, "json");
  return decode ? decode(fields) : fields;
}

function typesOf(files: boolean): string[] {
  return files ? ["multipart/form-data", "application/json"] : ["application/json"];
}

/** What stands in the path, the query and the headers, as texts. */
function aside(c: Context, { path, query, headers }: Places): Record<string, unknown> {
  const values: [string, unknown][] = [];
  if (query === undefined) {
    for (const [key, texts] of Object.entries(c.req.queries()))
      values.push([key, texts.length === 1 ? texts[0] : texts]);
  } else {
    for (const key of query) {
      const texts = c.req.queries(key);
      if (texts) values.push([key, texts.length === 1 ? texts[0] : texts]);
    }
  }
  for (const [key, name] of Object.entries(headers)) {
    const text = c.req.header(name);
    if (text !== undefined) values.push([key, text]);
  }
  for (const key of path) {
    const text = c.req.param(key);
    if (text !== undefined) values.push([key, text]);
  }
  return Object.fromEntries(values);
}
