// Forwarded: what proxies say about the client and the host of a request, in `Forwarded` and its older relatives.
import type http from "node:http";

export interface ForwardedBy {
  host: string | undefined;
  proto: string | undefined;
  client: string | undefined;
}

/** The first proxy's word counts (RFC 7239 §5); anybody can write these headers, so it is a statement and no proof. */
export function forwardedBy(headers: http.IncomingHttpHeaders): ForwardedBy {
  const first = (name: string) => {
    const value = headers[name];
    const text = (Array.isArray(value) ? value[0] : value)?.split(",", 1)[0]?.trim();
    return text === "" ? undefined : text;
  };
  const pairs = new Map<string, string>();
  for (const pair of first("forwarded")?.split(";") ?? []) {
    const equals = pair.indexOf("=");
    if (equals > 0) pairs.set(pair.slice(0, equals).trim().toLowerCase(), unquoted(pair.slice(equals + 1).trim()));
  }
  const client = pairs.get("for") ?? first("x-forwarded-for");
  return {
    host: pairs.get("host") ?? first("x-forwarded-host"),
    proto: pairs.get("proto") ?? first("x-forwarded-proto"),
    client: client === undefined ? undefined : withoutPort(client),
  };
}

function unquoted(value: string): string {
  return value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

function withoutPort(address: string): string {
  const bracketed = /^\[([^\]]*)\]/.exec(address)?.[1];
  if (bracketed !== undefined) return bracketed;
  const parts = address.split(":");
  return parts.length === 2 ? parts[0]! : address;
}
