// Request: sends one request of the client, with its body as JSON or, where it has files, as a form.
import { ClientError, errorOf } from "./client-error.ts";

type Headers_ = Record<string, string>;

export interface ClientOptions {
  /** Where the app is, such as `https://api.example.com`. Default: the page's own origin. */
  baseUrl?: string;
  fetch?: typeof fetch;
  /** Sent with each request; a function is asked each time. */
  headers?: Headers_ | (() => Headers_ | Promise<Headers_>);
  /** A bearer token; a function is asked each time. */
  token?: string | (() => string | undefined | Promise<string | undefined>);
}

export interface CallOptions {
  signal?: AbortSignal;
  headers?: Headers_;
  /** The same twice is one call where the procedure dedupes by it. */
  idempotencyKey?: string;
}

export interface Sent {
  method: string;
  path: string;
  body?: unknown;
  accept: string;
  options?: CallOptions | undefined;
}

export type Send = (sent: Sent) => Promise<Response>;

/** Resolves with an answer of success; rejects with a ClientError, or the reason of the caller's signal. */
export function sender(options: ClientOptions): Send {
  const base = (options.baseUrl ?? "").replace(/\/+$/, "");
  return async ({ method, path, body, accept, options: own = {} }) => {
    const send = options.fetch ?? fetch;
    const given = typeof options.headers === "function" ? await options.headers() : options.headers;
    const token = typeof options.token === "function" ? await options.token() : options.token;
    const headers: Headers_ = { accept, ...given, ...own.headers };
    if (token !== undefined) headers.authorization ??= `Bearer ${token}`;
    if (own.idempotencyKey !== undefined) headers["idempotency-key"] = own.idempotencyKey;
    const init: RequestInit = { method, headers };
    if (own.signal) init.signal = own.signal;
    if (body !== undefined) {
      const encoded = encode(body);
      if (typeof encoded === "string") headers["content-type"] = "application/json";
      init.body = encoded;
    }
    let response: Response;
    try {
      response = await send(base + path, init);
    } catch (cause) {
      throw away(cause, own.signal);
    }
    if (response.ok) return response;
    throw errorOf(await response.json().catch(() => undefined), response.status);
  };
}

/** What a failed fetch is: the caller's own abort stays what it was. */
export function away(cause: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return signal.reason;
  if (cause instanceof ClientError) return cause;
  return new ClientError("network", `no answer came: ${cause instanceof Error ? cause.message : String(cause)}`, {
    status: 0,
    fix: "try again; whether the request was handled is not known",
    cause,
  });
}

/** JSON, or a form with the JSON in `$json` and each file under the path of its place. */
export function encode(value: unknown): string | FormData {
  const files: [string, Blob][] = [];
  const places = new Map<object, string>();
  const json = JSON.stringify(value, function (this: Record<string, unknown>, key, item: unknown) {
    const place = places.get(this);
    const path = place === undefined || place === "" ? key : `${place}.${key}`;
    const before = this[key];
    if (typeof before === "bigint") return before.toString();
    if (typeof before !== "object" || before === null || before instanceof Date) return item;
    if (before instanceof Blob) {
      files.push([path, before]);
      return null;
    }
    if (before instanceof Uint8Array) return btoa(Array.from(before, (byte) => String.fromCharCode(byte)).join(""));
    const plain = before instanceof Map || before instanceof Set ? [...before] : item;
    if (typeof plain === "object" && plain !== null) places.set(plain, path);
    return plain;
  });
  if (files.length === 0) return json ?? "null";
  const form = new FormData();
  form.set("$json", json);
  for (const [path, file] of files) form.append(path, file);
  return form;
}
