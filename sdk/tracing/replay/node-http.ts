// node:http and node:https while replaying: every request goes to the sink and looks to the app as if it had not.
import http from "node:http";
import https from "node:https";
import { errorHeader } from "./original-url.ts";
import { replayedError, type Sink } from "./sink.ts";

type Options = http.RequestOptions;
type Answered = (answer: http.IncomingMessage) => void;

/** Must be called before the HTTP instrumentation is made: its spans then show what the app asked for. */
export function redirectNodeHttp(sink: Sink): void {
  redirect(http, "http:", sink);
  redirect(https, "https:", sink);
}

function redirect(module: typeof http | typeof https, protocol: string, sink: Sink): void {
  const original = module.request;
  const request = (...args: unknown[]): http.ClientRequest => {
    const { options, callback } = normalized(args);
    const url = options.socketPath ? undefined : urlOf(options, protocol);
    if (!url || sink.allowsUrl(url)) return Reflect.apply(original, module, args) as http.ClientRequest;
    return send(sink, url, options, callback);
  };
  const get = (...args: unknown[]): http.ClientRequest => {
    const sent = request(...args);
    sent.end();
    return sent;
  };
  Object.assign(module, { request, get });
}

function send(sink: Sink, url: URL, options: Options, callback: Answered | undefined): http.ClientRequest {
  const headers = { ...headersOf(options), ...sink.headersFor(url) };
  if (options.auth && headers.authorization === undefined) {
    headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  }
  headers.host ??= url.host;
  const request = sink.request(
    sink.url,
    {
      method: options.method ?? "GET",
      headers,
      agent: sink.agent,
      ...(options.signal ? { signal: options.signal } : {}),
      ...(options.timeout ? { timeout: options.timeout } : {}),
    },
    callback,
  );
  const { emit } = request;
  request.emit = function replayedEmit(event: string, ...args: unknown[]): boolean {
    if (event === "response") {
      const answer = args[0] as http.IncomingMessage;
      const code = answer.headers[errorHeader];
      if (code !== undefined) {
        answer.resume();
        request.destroy(replayedError(String(code)));
        return true;
      }
    }
    return Reflect.apply(emit, request, [event, ...args]) as boolean;
  } as typeof request.emit;
  return request;
}

function normalized(args: unknown[]): { options: Options; callback: Answered | undefined } {
  const rest = [...args];
  const options: Options = {};
  if (typeof rest[0] === "string" || rest[0] instanceof URL)
    Object.assign(options, optionsOf(new URL(rest.shift() as string)));
  if (typeof rest[0] === "object" && rest[0] !== null) Object.assign(options, rest.shift());
  const callback = rest.find((arg) => typeof arg === "function") as Answered | undefined;
  return { options, callback };
}

function optionsOf(url: URL): Options {
  const options: Options = { protocol: url.protocol, hostname: url.hostname, path: url.pathname + url.search };
  if (url.port) options.port = url.port;
  if (url.username) options.auth = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return options;
}

function urlOf(options: Options, fallback: string): URL | undefined {
  const protocol = options.protocol ?? fallback;
  const host = (options.hostname ?? options.host ?? "localhost").replace(/^(?!\[)(.*:.*:.*)$/, "[$1]");
  const port = options.port ?? options.defaultPort;
  return URL.parse(`${protocol}//${host}${port ? `:${port}` : ""}${options.path ?? "/"}`) ?? undefined;
}

// Node takes an object, a flat list of names and values, or a list of pairs.
function headersOf(options: Options): Record<string, http.OutgoingHttpHeader> {
  const headers: Record<string, http.OutgoingHttpHeader> = {};
  const set = (name: string, value: http.OutgoingHttpHeader | undefined) => {
    if (value === undefined) return;
    const lower = name.toLowerCase();
    const before = headers[lower];
    headers[lower] = before === undefined ? value : [before, value].flat().map(String);
  };
  const given = options.headers as unknown;
  if (Array.isArray(given)) {
    const flat = given.flat() as string[];
    for (let index = 0; index + 1 < flat.length; index += 2) set(flat[index]!, flat[index + 1]);
  } else {
    for (const [name, value] of Object.entries((given ?? {}) as http.OutgoingHttpHeaders)) set(name, value);
  }
  return headers;
}
