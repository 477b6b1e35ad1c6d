// The HTTP face: every operation below /api/v1, errors in one shape, streams and progress as SSE.
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { getCookie, setCookie } from "hono/cookie";
import { streamSSE } from "hono/streaming";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import type { Face, Operation, Principal } from "../../sdk/operation.ts";
import { type Identity, sessionDays } from "../identity/identity.ts";
import { methodOf, openApiDocument, pathOf } from "./openapi.ts";
import type { CallOptions, OperationRegistry } from "./registry.ts";

const maxBodyBytes = 1024 * 1024;
/** A silent stream is cut by proxies and by Node's own fetch (after five minutes); a comment keeps it. */
const heartbeatMs = 15_000;
const faces: Face[] = ["http", "cli", "dashboard", "assistant"];

/** Cookies do not know ports: two platforms on one machine must not take each other's. */
const sessionCookie = (url: string) => `tsdev_session_${new URL(url).port || "web"}`;

/** The principal of a request by its token or, for the dashboard, its session cookie; throws `unauthenticated`. */
async function authenticate(c: Context, identity: Identity, url: string): Promise<Principal> {
  // not Basic, which browsers send by themselves
  const bearer = /^bearer\s+(\S+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
  const token = bearer ?? getCookie(c, sessionCookie(url));
  const principal = token ? await identity.principalOf(token) : null;
  if (!principal) {
    throw new TsdevError("unauthenticated", {
      message: token ? "the token is not known here, or has expired" : "no token was sent",
      fix: "send `Authorization: Bearer TOKEN`; the owner's token is in `owner-token` in the data directory",
    });
  }
  // a cookie travels by itself, so a change by cookie must come from our own pages
  if (!bearer && c.req.method !== "GET" && !fromOwnPages(c)) {
    throw new TsdevError("forbidden", {
      message: "this request comes from another site",
      fix: "use the dashboard, or send a token in the Authorization header",
    });
  }
  return principal;
}

function fromOwnPages(c: Context): boolean {
  const site = c.req.header("sec-fetch-site");
  if (site !== undefined) return site === "same-origin";
  // browsers leave it out where the address is neither https nor localhost
  const origin = c.req.header("origin");
  return origin !== undefined && URL.canParse(origin) && new URL(origin).host === c.req.header("host");
}

export function errorResponse(c: Context, thrown: unknown): Response {
  const error = TsdevError.from(thrown);
  if (error.code === "internal") console.error(error.cause ?? error);
  if (error.code === "unauthenticated") c.header("WWW-Authenticate", 'Bearer realm="tsdev"');
  return c.json({ error }, error.status as 400);
}

type QueryKinds = Record<string, { type?: string } | undefined>;

function queryKinds(operation: Operation): QueryKinds {
  const schema = z.toJSONSchema(operation.input, { io: "input", unrepresentable: "any" });
  return (schema as { properties?: QueryKinds }).properties ?? {};
}

/** Values of a query string as the contract wants them: numbers, booleans and objects are JSON, arrays JSON or repeated. */
function inputFromQuery(kinds: QueryKinds, query: Record<string, string[]>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(query).map(([key, texts]) => {
      const type = kinds[key]?.type ?? "string";
      const text = texts[0] ?? "";
      if (type === "array" && (texts.length > 1 || !text.startsWith("["))) return [key, texts];
      return [key, type === "string" ? text : jsonOr(text)];
    }),
  );
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function bodyOf(c: Context): Promise<unknown> {
  const text = await c.req.text();
  try {
    return text === "" ? {} : JSON.parse(text);
  } catch (cause) {
    throw new TsdevError("invalid_input", {
      message: "the body is not JSON",
      fix: "send a JSON object with `content-type: application/json`",
      cause,
    });
  }
}

const LoginCode = z.object({ code: z.string() });

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
  const limit = bodyLimit({
    maxSize: maxBodyBytes,
    onError: (c) => {
      // the rest of the body is not read, so nothing else can be said on this connection
      c.header("Connection", "close");
      throw new TsdevError("payload_too_large", { message: "the body exceeds 1 MiB", fix: "send less at a time" });
    },
  });

  app.get("/openapi.json", (c) =>
    c.json(openApiDocument(registry.list(), { url: parts.url(), version: parts.version })),
  );
  app.post("/sessions", limit, async (c) => {
    const parsed = LoginCode.safeParse(await bodyOf(c));
    if (!parsed.success) {
      throw new TsdevError("invalid_input", {
        message: "code: the login code of the link is missing",
        fix: "open the link that `npx tsdev open` prints",
        path: "code",
      });
    }
    const session = await identity.redeemLoginCode(parsed.data.code);
    setCookie(c, sessionCookie(parts.url()), session, {
      httpOnly: true,
      sameSite: "Strict",
      secure: parts.url().startsWith("https:"),
      path: "/",
      maxAge: sessionDays * 24 * 3600,
    });
    return c.json({ done: true });
  });

  for (const operation of registry.list()) {
    const kinds = queryKinds(operation);
    app.on(methodOf(operation).toUpperCase(), pathOf(operation), limit, async (c) => {
      const principal = await authenticate(c, identity, parts.url());
      const wanted = c.req.header("x-tsdev-face") as Face | undefined;
      const face = wanted && faces.includes(wanted) ? wanted : "http";
      const input = methodOf(operation) === "get" ? inputFromQuery(kinds, c.req.queries()) : await bodyOf(c);
      const asStream = operation.kind === "stream" || c.req.header("accept")?.includes("text/event-stream");
      if (asStream) {
        // what can be refused is refused with its status, before the head of the stream is sent
        await registry.check(operation.name, input, { principal, face });
        return events(c, registry, operation, input, { principal, face });
      }
      const options = { principal, face, signal: c.req.raw.signal };
      return c.json((await registry.call(operation.name, input, options)) as object);
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

/** A stream's values, or the progress and the result of a call, as server-sent events; an error is the last of them. */
function events(
  c: Context,
  registry: OperationRegistry,
  operation: Operation,
  input: unknown,
  caller: Pick<CallOptions, "principal" | "face">,
): Response {
  return streamSSE(c, async (stream) => {
    const abort = new AbortController();
    stream.onAbort(() => abort.abort());
    const heartbeat = setInterval(() => void stream.write(": still here\n\n"), heartbeatMs);
    const send = (event: string, data: unknown) => stream.writeSSE({ event, data: JSON.stringify(data) });
    const options = { ...caller, signal: abort.signal };
    try {
      if (operation.kind === "stream") {
        for await (const value of registry.stream(operation.name, input, options)) await send("value", value);
      } else {
        const progress = (event: object) => void send("progress", event);
        await send("result", await registry.call(operation.name, input, { ...options, progress }));
      }
      await send("end", {});
    } catch (thrown) {
      const error = TsdevError.from(thrown);
      if (error.code === "internal") console.error(error.cause ?? error);
      await send("error", { error });
    } finally {
      clearInterval(heartbeat);
    }
  });
}
