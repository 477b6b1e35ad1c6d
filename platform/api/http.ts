// The HTTP face: every operation below /api/v1, errors in one shape, streams and progress as SSE.
import { type Context, Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { streamSSE } from "hono/streaming";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import type { Face, Operation, Principal } from "../../sdk/operation.ts";
import { type Identity, tokenFrom } from "../identity/identity.ts";
import { methodOf, openApiDocument, pathOf } from "./openapi.ts";
import type { OperationRegistry } from "./registry.ts";

const sessionCookie = "tsdev_session";
const maxBodyBytes = 1024 * 1024;
const faces: Face[] = ["http", "cli", "dashboard", "assistant"];

/** The principal of a request by its token or, for the dashboard, its session cookie; throws `unauthenticated`. */
export async function authenticate(c: Context, identity: Identity): Promise<Principal> {
  const header = c.req.header("authorization");
  const token = tokenFrom(header) ?? getCookie(c, sessionCookie);
  const principal = token ? await identity.principalOf(token) : null;
  if (!principal) {
    throw new TsdevError("unauthenticated", {
      message: token ? "the token is not known here" : "no token was sent",
      fix: "send `Authorization: Bearer TOKEN`; the owner's token is in `owner-token` in the data directory",
    });
  }
  // a cookie travels by itself, so a change by cookie must come from our own pages
  if (!header && c.req.method !== "GET" && c.req.header("sec-fetch-site") !== "same-origin") {
    throw new TsdevError("forbidden", {
      message: "this request comes from another site",
      fix: "use the dashboard, or send a token in the Authorization header",
    });
  }
  return principal;
}

export function errorResponse(c: Context, thrown: unknown): Response {
  const error = TsdevError.from(thrown);
  if (error.code === "internal") console.error(error.cause ?? error);
  if (error.code === "unauthenticated") c.header("WWW-Authenticate", 'Bearer realm="tsdev"');
  return c.json({ error }, error.status as 400);
}

/** Values of a query string as the contract wants them: numbers, booleans and arrays are written as JSON. */
function inputFromQuery(operation: Operation, query: Record<string, string>): Record<string, unknown> {
  const schema = z.toJSONSchema(operation.input, { io: "input", unrepresentable: "any" }) as {
    properties?: Record<string, { type?: string }>;
  };
  return Object.fromEntries(
    Object.entries(query).map(([key, text]) => {
      if ((schema.properties?.[key]?.type ?? "string") === "string") return [key, text];
      try {
        return [key, JSON.parse(text)];
      } catch {
        return [key, text];
      }
    }),
  );
}

async function bodyOf(c: Context): Promise<unknown> {
  const text = await c.req.text();
  if (text.length > maxBodyBytes) {
    throw new TsdevError("payload_too_large", { message: "the body exceeds 1 MiB", fix: "send less at a time" });
  }
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch {
    throw new TsdevError("invalid_input", {
      message: "the body is not JSON",
      fix: "send `content-type: application/json`",
    });
  }
}

/** Mounts the API. `url` is the address that people and scripts use. */
export function httpApi(parts: {
  registry: OperationRegistry;
  identity: Identity;
  url: () => string;
  version: string;
}): Hono {
  const { registry, identity } = parts;
  const app = new Hono();
  app.onError((error, c) => errorResponse(c, error));

  app.get("/openapi.json", (c) =>
    c.json(openApiDocument(registry.list(), { url: parts.url(), version: parts.version })),
  );
  app.post("/sessions", async (c) => {
    const { code } = z.object({ code: z.string() }).parse(await bodyOf(c));
    const session = await identity.redeemLoginCode(code);
    setCookie(c, sessionCookie, session, { httpOnly: true, sameSite: "Strict", path: "/", maxAge: 30 * 24 * 3600 });
    return c.json({ done: true });
  });

  for (const operation of registry.list()) {
    app.on(methodOf(operation).toUpperCase(), pathOf(operation), async (c) => {
      const principal = await authenticate(c, identity);
      const wanted = c.req.header("x-tsdev-face") as Face | undefined;
      const face = wanted && faces.includes(wanted) ? wanted : "http";
      const input = methodOf(operation) === "get" ? inputFromQuery(operation, c.req.query()) : await bodyOf(c);
      const events = operation.kind === "stream" || c.req.header("accept")?.includes("text/event-stream");
      if (!events)
        return c.json(
          (await registry.call(operation.name, input, { principal, face, signal: c.req.raw.signal })) as object,
        );
      return streamSSE(c, async (stream) => {
        const abort = new AbortController();
        stream.onAbort(() => abort.abort());
        const send = (event: string, data: unknown) => stream.writeSSE({ event, data: JSON.stringify(data) });
        try {
          if (operation.kind === "stream") {
            for await (const value of registry.stream(operation.name, input, {
              principal,
              face,
              signal: abort.signal,
            })) {
              await send("value", value);
            }
          } else {
            const progress = (event: object) => void send("progress", event);
            await send(
              "result",
              await registry.call(operation.name, input, { principal, face, signal: abort.signal, progress }),
            );
          }
          await send("end", {});
        } catch (thrown) {
          await send("error", { error: TsdevError.from(thrown) });
        }
      });
    });
  }
  app.all("*", (c) => {
    throw new TsdevError("not_found", {
      message: `there is no ${c.req.method} ${c.req.path}`,
      fix: "see /api/v1/openapi.json for every path",
    });
  });
  return app;
}
