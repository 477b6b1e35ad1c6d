// Original URL: while replaying, requests go to the sink; their spans keep the URL that the app asked for.
import type { Attributes } from "@opentelemetry/api";
import {
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_FULL,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
} from "@opentelemetry/semantic-conventions";

/** Where a replayed request was meant to go. */
export const originalUrlHeader = "x-tsdev-original-url";
/** The incoming request that a replayed request was made for. */
export const requestIdHeader = "x-tsdev-request-id";
/** On an answer of the sink: the code of the error that the app gets instead of it. */
export const errorHeader = "x-tsdev-error";

/** What undici hands to its diagnostics channels. */
export interface UndiciRequestLike {
  origin: string | URL;
  path: string;
  method: string;
  headers: string | (string | Buffer | string[])[];
}

/** Attributes that say where the app wanted to go, when a replay sent the request elsewhere. */
export function originalUrlAttributes(request: UndiciRequestLike): Attributes {
  if (!Array.isArray(request.headers)) return {};
  const at = request.headers.findIndex(
    (part, index) => index % 2 === 0 && String(part).toLowerCase() === originalUrlHeader,
  );
  const url = at < 0 ? null : URL.parse(String(request.headers[at + 1]));
  if (!url) return {};
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  return {
    [ATTR_URL_FULL]: url.href,
    [ATTR_URL_PATH]: url.pathname,
    [ATTR_URL_QUERY]: url.search,
    [ATTR_URL_SCHEME]: url.protocol.slice(0, -1),
    [ATTR_SERVER_ADDRESS]: url.hostname,
    [ATTR_SERVER_PORT]: port,
  };
}
