// Headers on their way through the router: hop-by-hop ones end here, X-Forwarded-* are ours alone.
import type { IncomingMessage } from "node:http";

const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What only the router may say; a client that sends them could pretend to be somebody else. */
const forwarded = new Set([
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-forwarded-port",
  "x-real-ip",
]);

/** Names that the message's own `Connection` header declares to be for this hop only. */
function namedByConnection(message: IncomingMessage): Set<string> {
  const named = new Set<string>();
  for (const name of (message.headers.connection ?? "").split(",")) named.add(name.trim().toLowerCase());
  return named;
}

/** Name, value, name, value…, with case, order and repeats kept. */
function endToEnd(message: IncomingMessage, drop: ReadonlySet<string>): string[] {
  const named = namedByConnection(message);
  const kept: string[] = [];
  for (let index = 0; index < message.rawHeaders.length; index += 2) {
    const name = message.rawHeaders[index]!;
    const lower = name.toLowerCase();
    if (hopByHop.has(lower) || named.has(lower) || drop.has(lower)) continue;
    kept.push(name, message.rawHeaders[index + 1]!);
  }
  return kept;
}

/** True when the message announces a body. */
export function hasBody(message: IncomingMessage): boolean {
  if (message.headers["transfer-encoding"] !== undefined) return true;
  const length = message.headers["content-length"];
  return length !== undefined && length !== "0";
}

/** The headers of a request as the instance gets them; the Host stays as the client sent it. */
export function requestHeaders(request: IncomingMessage): string[] {
  const headers = endToEnd(request, forwarded);
  headers.push("X-Forwarded-For", request.socket.remoteAddress ?? "unknown");
  headers.push("X-Forwarded-Host", request.headers.host ?? "");
  headers.push("X-Forwarded-Proto", "http");
  if (request.headers["transfer-encoding"] !== undefined) {
    headers.push("Transfer-Encoding", "chunked");
    if (request.headers.trailer !== undefined) headers.push("Trailer", request.headers.trailer);
  } else if (request.headers["content-length"] === undefined && /^(POST|PUT|PATCH)$/.test(request.method ?? "")) {
    // Node would otherwise announce a chunked body for a request that has none.
    headers.push("Content-Length", "0");
  }
  if (/\btrailers\b/i.test(String(request.headers.te ?? ""))) headers.push("TE", "trailers");
  return headers;
}

const nothing: ReadonlySet<string> = new Set();

/** The headers of a response as the client gets them; `trailers` when the client's side is chunked, which alone can carry them. */
export function responseHeaders(response: IncomingMessage, trailers: boolean): string[] {
  const headers = endToEnd(response, nothing);
  if (trailers && response.headers.trailer !== undefined) headers.push("Trailer", response.headers.trailer);
  return headers;
}

/** Trailers as pairs. */
export function trailerPairs(message: IncomingMessage): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < message.rawTrailers.length; index += 2) {
    pairs.push([message.rawTrailers[index]!, message.rawTrailers[index + 1]!]);
  }
  return pairs;
}
