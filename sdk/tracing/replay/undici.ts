// fetch and undici while replaying: every dispatcher, the app's own ones too, sends to the sink.
import {
  InstrumentationBase,
  InstrumentationNodeModuleDefinition,
  InstrumentationNodeModuleFile,
} from "@opentelemetry/instrumentation";
import { errorHeader } from "./original-url.ts";
import { replayedError, type Sink } from "./sink.ts";

interface DispatchOptions {
  origin?: string | URL;
  path: string;
  method: string;
  headers?: unknown;
  upgrade?: unknown;
}
type Handler = Record<string | symbol, unknown>;
type Dispatch = (this: object, options: DispatchOptions, handler: Handler) => boolean;
interface DispatcherPrototype {
  dispatch: Dispatch;
}

// Both the engine's copy and npm's register their global dispatcher under this name.
const globalDispatcher = Symbol.for("undici.globalDispatcher.1");
const patched = Symbol.for("tsdev.replay.dispatch");

/** Redirects the engine's fetch at once and npm's undici when the app loads it. */
export function redirectUndici(sink: Sink): void {
  // Naming one of its classes loads the engine's undici.
  void globalThis.Headers;
  const agent = (globalThis as Record<symbol, unknown>)[globalDispatcher] as object | undefined;
  const base = agent && baseOf(agent);
  if (!agent || !base) return;
  const dispatch = base.dispatch;
  const send: Dispatch = function sendToSink(options, handler) {
    return dispatch.call(agent, options, handler);
  };
  patch(base, sink, send);
  new UndiciReplay(sink, send);
}

class UndiciReplay extends InstrumentationBase {
  #redirect: (exports: unknown) => void;

  constructor(sink: Sink, send: Dispatch) {
    super("@tsdev/sdk/undici-replay", "0.1.0", {});
    this.#redirect = (exports) => {
      const base = (exports as { prototype?: DispatcherPrototype } | undefined)?.prototype;
      if (base) patch(base, sink, send);
    };
  }

  override init() {
    const file = (path: string) =>
      new InstrumentationNodeModuleFile(
        path,
        ["*"],
        (exports: unknown) => {
          this.#redirect(exports);
          return exports;
        },
        () => {},
      );
    return new InstrumentationNodeModuleDefinition("undici", ["*"], undefined, undefined, [
      file("undici/lib/dispatcher/dispatcher-base.js"),
      file("undici/lib/dispatcher-base.js"),
    ]);
  }
}

// Agent, Pool and Client share the class that has `dispatch` as its own.
function baseOf(agent: object): DispatcherPrototype | undefined {
  let found: DispatcherPrototype | undefined;
  for (let at = Object.getPrototypeOf(agent); at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    if (Object.hasOwn(at, "dispatch")) found ??= at as DispatcherPrototype;
  }
  return found;
}

function patch(base: DispatcherPrototype, sink: Sink, send: Dispatch): void {
  if (Object.hasOwn(base, patched)) return;
  const original = base.dispatch;
  base.dispatch = function replayedDispatch(options, handler) {
    const url = urlOf(this, options);
    if (!url || options.upgrade || options.method === "CONNECT" || sink.allowsUrl(url)) {
      return original.call(this, options, handler);
    }
    const headers = flatHeaders(options.headers);
    for (const [name, value] of Object.entries(sink.headersFor(url))) headers.push(name, value);
    if (!headers.some((part, index) => index % 2 === 0 && part.toLowerCase() === "host"))
      headers.push("host", url.host);
    const redirected = { ...options, origin: sink.url.origin, path: sink.url.pathname + sink.url.search, headers };
    // `query` of undici.request has become part of the original URL.
    Reflect.deleteProperty(redirected, "query");
    return send.call(this, redirected, withErrors(handler));
  };
  Object.defineProperty(base, patched, { value: true });
}

function urlOf(dispatcher: object, options: DispatchOptions & { query?: Record<string, unknown> }): URL | undefined {
  const origin = options.origin ?? ownOrigin(dispatcher);
  const url = origin === undefined ? null : URL.parse(options.path, String(origin));
  if (!url) return undefined;
  for (const [name, value] of Object.entries(options.query ?? {})) {
    for (const item of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(item));
  }
  return url;
}

// A Client or Pool was made for one origin, and keeps it under a symbol of its copy.
function ownOrigin(dispatcher: object): string | undefined {
  for (const symbol of Object.getOwnPropertySymbols(dispatcher)) {
    if (symbol.description !== "url") continue;
    const url = (dispatcher as Record<symbol, unknown>)[symbol];
    return url instanceof URL ? url.origin : undefined;
  }
  return undefined;
}

function flatHeaders(headers: unknown): string[] {
  if (headers === null || headers === undefined) return [];
  if (Array.isArray(headers)) return headers.flat().map(String);
  const entries =
    typeof (headers as Iterable<unknown>)[Symbol.iterator] === "function"
      ? [...(headers as Iterable<[string, unknown]>)]
      : Object.entries(headers as Record<string, unknown>);
  return entries.flatMap(([name, value]) =>
    value === undefined ? [] : (Array.isArray(value) ? value : [value]).flatMap((item) => [name, String(item)]),
  );
}

/** A handler of undici, of the old kind or the new one, for which the sink's `x-tsdev-error` is an error of the socket. */
function withErrors(handler: Handler): Handler {
  let abort: ((error: Error) => void) | undefined;
  const own: Handler = {
    onConnect(stop: (error: Error) => void, ...rest: unknown[]) {
      abort = stop;
      return call(handler, "onConnect", [stop, ...rest]);
    },
    onHeaders(status: number, raw: (Buffer | string)[], ...rest: unknown[]) {
      const at = raw.findIndex((part, index) => index % 2 === 0 && String(part).toLowerCase() === errorHeader);
      if (at >= 0 && abort) {
        abort(replayedError(String(raw[at + 1])));
        return false;
      }
      return call(handler, "onHeaders", [status, raw, ...rest]);
    },
    onResponseStart(
      controller: { abort(error: Error): void },
      status: number,
      headers: Record<string, string | string[]>,
      ...rest: unknown[]
    ) {
      const code = headers[errorHeader];
      if (code !== undefined) return controller.abort(replayedError(String(code)));
      return call(handler, "onResponseStart", [controller, status, headers, ...rest]);
    },
  };
  return new Proxy(handler, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== "function") return value;
      return Object.hasOwn(own, name) ? own[name] : value.bind(target);
    },
  });
}

function call(handler: Handler, name: string, args: unknown[]): unknown {
  return Reflect.apply(handler[name] as () => unknown, handler, args);
}
