// MCP over streamable HTTP, in both eras of the protocol: a fresh server for every request, and no session.

import { randomBytes } from "node:crypto";
import {
  createMcpHandler,
  createRequestStateCodec,
  localhostAllowedOrigins,
  originValidationResponse,
} from "@modelcontextprotocol/server";
import { Hono } from "hono";
import { TsdevError } from "../sdk/errors.ts";
import type { Principal } from "../sdk/operation.ts";
import { confirmWith } from "./confirm.ts";
import { Confirmations, confirmationSeconds } from "./confirmations.ts";
import type { KeySource, Operations, Tokens } from "./platform.ts";
import { mcpServer } from "./server.ts";

const mostBodyBytes = 1024 * 1024;

export interface McpHttpParts {
  registry: Operations;
  identity: Tokens;
  masterKey: KeySource;
  version: string;
  /** The address that clients use. */
  url: () => string;
}

/** The routes to mount at `/mcp`. */
export function mcpHttp({ registry, identity, masterKey, version, url }: McpHttpParts): Hono {
  const codec = createRequestStateCodec<{ plan: string }>({
    // the random part makes states of an earlier process void, as its pending confirmations are
    key: Buffer.concat([masterKey.derive("mcp request state"), randomBytes(32)]),
    ttlSeconds: confirmationSeconds,
    bind: (context) => `${context.mcpReq.method}\0${context.http?.authInfo?.clientId ?? ""}`,
  });
  const confirm = confirmWith(new Confirmations(), codec);
  const handler = createMcpHandler(
    ({ authInfo }) => {
      const principal = authInfo?.extra?.principal as Principal | undefined;
      if (!principal) throw unauthenticated(false);
      return mcpServer({ operations: registry, principal, version, codec, confirm });
    },
    { maxRequestBodySize: mostBodyBytes, onerror: (error) => console.error(`mcp: ${error.message}`) },
  );

  const app = new Hono();
  app.all("/", async (c) => {
    const foreign = originValidationResponse(c.req.raw, [new URL(url()).hostname, ...localhostAllowedOrigins()]);
    if (foreign) return foreign;
    const token = /^bearer\s+(\S+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
    const principal = token ? await identity.principalOf(token) : null;
    if (!token || !principal) {
      c.header("WWW-Authenticate", `Bearer realm="tsdev"${token ? ', error="invalid_token"' : ""}`);
      return c.json({ error: unauthenticated(token !== undefined) }, 401);
    }
    // the principal goes on and the token does not
    const authInfo = { token: "", clientId: principal.id, scopes: [principal.role], extra: { principal } };
    return handler.fetch(c.req.raw, { authInfo });
  });
  return app;
}

function unauthenticated(sent: boolean): TsdevError {
  return new TsdevError("unauthenticated", {
    message: sent ? "the token is not known here" : "no token was sent",
    fix: "send `Authorization: Bearer TOKEN`; `npx tsdev setup agent` writes a configuration that needs none",
  });
}
