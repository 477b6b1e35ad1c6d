// Sink: where a replayed app's outgoing requests go instead of the outside world, and what may be reached directly.
import * as http from "node:http";
import * as https from "node:https";
import { currentScope } from "../request-scope.ts";
import type { ReplaySettings } from "../settings.ts";
import { originalUrlHeader, requestIdHeader } from "./original-url.ts";

// Kept before anything is patched.
const requestOf = { "http:": http.request, "https:": https.request };

/** The code of the error that a connection gets which replay does not allow. */
export const blockedCode = "ETSDEV_BLOCKED";

/** Where a socket wants to go. */
export type Destination = { host: string; port: number } | { path: string };

export class Sink {
  readonly url: URL;
  readonly request: typeof http.request;
  readonly agent: http.Agent;
  readonly #allow = new Set<string>();
  readonly #paths: string[] = [];

  constructor(settings: ReplaySettings, otlpEndpoint: string) {
    this.url = settings.sink;
    const secure = this.url.protocol === "https:";
    this.request = requestOf[secure ? "https:" : "http:"];
    this.agent = secure ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true });
    for (const url of [this.url, URL.parse(otlpEndpoint)]) if (url) this.#allow.add(hostAndPort(url));
    for (const entry of settings.allow) {
      if (entry.startsWith("/")) this.#paths.push(entry);
      else
        this.#allow.add(
          entry.replace(/^(.*):(\d+)$/, (_all, host: string, port: string) => `${loopback(host)}:${port}`),
        );
    }
  }

  /** Whether the app may connect there itself. */
  allows(to: Destination): boolean {
    if ("path" in to) return this.#paths.some((path) => to.path === path || to.path.startsWith(`${path}/`));
    return this.#allow.has(`${loopback(to.host)}:${to.port}`);
  }

  allowsUrl(url: URL): boolean {
    return this.#allow.has(hostAndPort(url));
  }

  /** The headers that tell the sink what was asked for, and for which incoming request. */
  headersFor(url: URL): Record<string, string> {
    const headers: Record<string, string> = { [originalUrlHeader]: url.href };
    const id = currentScope()?.id;
    if (id !== undefined) headers[requestIdHeader] = id;
    return headers;
  }

  /** Tells the sink about a connection that was not allowed. */
  reportBlocked(to: Destination): void {
    const report = { ...to, requestId: currentScope()?.id ?? null, code: blockedCode };
    const target = new URL(this.url);
    target.pathname = `${target.pathname.replace(/\/+$/, "")}/__blocked`;
    const sent = this.request(target, {
      method: "POST",
      agent: this.agent,
      headers: { "content-type": "application/json" },
    });
    sent.on("response", (answer) => answer.resume());
    sent.on("error", () => {});
    sent.end(JSON.stringify(report));
  }
}

/** The error that the sink asks for by the `x-tsdev-error` header. */
export function replayedError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code} (replayed)`), { code });
}

function hostAndPort(url: URL): string {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return `${loopback(url.hostname)}:${port}`;
}

function loopback(host: string): string {
  const bare = host.replace(/^\[|\]$/g, "").toLowerCase();
  return bare === "localhost" || bare === "::1" || bare.startsWith("127.") ? "loopback" : bare;
}
