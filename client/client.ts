// Client: calls operations of a platform over its HTTP API, typed by the operation's name.
import { EventSourceParserStream } from "eventsource-parser/stream";
import { TsdevError } from "../sdk/errors.ts";
import type { operations } from "./api.d.ts";
import { methods } from "./methods.ts";

type Content<R, Type extends string> = R extends { content: { [T in Type]: infer C } } ? C : never;
type Answer<N extends keyof operations, Type extends string> = Content<operations[N]["responses"][200], Type>;

/** The generated types say never where an operation takes nothing. */
type Query<Q> = [Q] extends [never] ? Record<string, never> : Q;

/** Names of operations that yield a stream of values. */
export type StreamName = {
  [N in keyof operations]: Answer<N, "text/event-stream"> extends never ? never : N;
}[keyof operations];

/** Names of operations that answer once. */
export type CallName = Exclude<keyof operations, StreamName>;

/** What an operation takes. */
export type Input<N extends keyof operations> = operations[N] extends { requestBody: infer B }
  ? Content<B, "application/json">
  : Query<NonNullable<operations[N]["parameters"]["query"]>>;

/** What an operation answers, for example `Output<"deployments.get">`. */
export type Output<N extends CallName> = Answer<N, "application/json">;

/** One value of a stream operation. */
export type Value<N extends StreamName> = Answer<N, "text/event-stream">;

export type ProgressListener = (message: string, fraction?: number) => void;

export interface ClientOptions {
  /** Where the platform is; undefined for the page's own address, in a browser. */
  url?: string;
  /** Undefined in a browser, where the session cookie travels by itself. */
  token?: string;
  /** Which face this is, for the audit log. */
  face: "cli" | "dashboard" | "http";
}

/** Throws TsdevErrors only: what the platform answered, or `unavailable` when nothing answers. */
export class Client {
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#options = options;
  }

  /** Calls an operation that answers once; `progress` hears what it tells meanwhile. */
  async call<N extends CallName>(
    name: N,
    input: Input<N>,
    options: { signal?: AbortSignal; progress?: ProgressListener } = {},
  ): Promise<Output<N>> {
    const { signal, progress } = options;
    const response = await this.#request(name, input, progress !== undefined, signal);
    if (!progress) return (await response.json()) as Output<N>;
    for await (const { event, data } of events(response)) {
      if (event === "progress") {
        const { message, fraction } = data as { message: string; fraction?: number };
        progress(message, fraction);
      }
      if (event === "result") return data as Output<N>;
    }
    throw cutOff(name);
  }

  /** Values of a stream operation until it ends or the signal aborts. */
  async *stream<N extends StreamName>(name: N, input: Input<N>, signal?: AbortSignal): AsyncGenerator<Value<N>> {
    const response = await this.#request(name, input, true, signal);
    for await (const { event, data } of events(response)) {
      if (event === "value") yield data as Value<N>;
      if (event === "end") return;
    }
    throw cutOff(name);
  }

  async #request(
    name: keyof operations,
    input: object,
    sse: boolean,
    signal: AbortSignal | undefined,
  ): Promise<Response> {
    const { url = "", token, face } = this.#options;
    const headers: Record<string, string> = {
      "x-tsdev-face": face,
      accept: sse ? "text/event-stream" : "application/json",
    };
    if (token) headers.authorization = `Bearer ${token}`;
    const init: RequestInit = { method: methods[name].toUpperCase(), headers };
    if (signal) init.signal = signal;
    let address = `${url}/api/v1/${name.replaceAll(".", "/")}`;
    if (methods[name] === "get") address += queryOf(input);
    else {
      headers["content-type"] = "application/json";
      init.body = JSON.stringify(input);
    }
    let response: Response;
    try {
      response = await fetch(address, init);
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new TsdevError("unavailable", {
        message: `nothing answers at ${url || "the platform's address"}`,
        fix: "start the platform with `npx tsdev serve`, or correct TSDEV_URL",
        cause,
      });
    }
    if (!response.ok) throw errorOf(await response.json().catch(() => null), response.status);
    return response;
  }
}

/** Numbers, booleans and lists travel as JSON in a query. */
function queryOf(input: object): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(input)) {
    if (value !== undefined) query.set(key, typeof value === "string" ? value : JSON.stringify(value));
  }
  return query.size > 0 ? `?${query}` : "";
}

/** The error that a body of the API tells, or `unavailable` where it tells none. */
export function errorOf(body: unknown, status: number): TsdevError {
  const error = (body as { error?: { code?: unknown; message?: unknown; fix?: unknown } } | null)?.error;
  if (typeof error?.code === "string" && typeof error.message === "string" && typeof error.fix === "string") {
    return new TsdevError(error.code as "internal", error as { message: string; fix: string; path?: string });
  }
  return new TsdevError("unavailable", {
    message: `the platform answered ${status}`,
    fix: "try again; see its log if it repeats",
  });
}

const cutOff = (name: string) =>
  new TsdevError("unavailable", {
    message: `the connection was cut during ${name}`,
    fix: "the platform may have stopped; try again",
  });

async function* events(response: Response): AsyncGenerator<{ event: string; data: unknown }> {
  if (!response.body) return;
  const reader = response.body
    .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array<ArrayBuffer>, string>)
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  try {
    // a reader, because not every browser can iterate a stream
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const data: unknown = JSON.parse(value.data);
      if (value.event === "error") throw errorOf(data, 500);
      yield { event: value.event ?? "message", data };
    }
  } catch (error) {
    if (TsdevError.is(error)) throw error;
    throw new TsdevError("unavailable", {
      message: "the connection to the platform broke",
      fix: "try again",
      cause: error,
    });
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
