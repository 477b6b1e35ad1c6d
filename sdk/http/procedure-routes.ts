// Procedure routes: every procedure by POST /rpc/{name}, and by the REST route that it declares.
import { randomUUID } from "node:crypto";
import type { Context, Hono } from "hono";
import { TsdevError } from "../errors.ts";
import { type CallOptions, call } from "../procedures/call.ts";
import type { AnyProcedure, HttpRoute } from "../procedures/procedure.ts";
import { itemOf } from "../procedures/stream.ts";
import { placeOf } from "../registry.ts";
import type { Gate } from "./access.ts";
import { answersOf } from "./answer.ts";
import { type HideParts, hidePartsOf } from "./hidden-parts.ts";
import { placesOf, type ReadInput, routeInput, rpcInput } from "./request-input.ts";

/** A route's method and path with its parameters unnamed: two with one key would answer the same requests. */
export function keyOf({ method, path }: Pick<HttpRoute, "method" | "path">): string {
  return `${method} ${path.replace(/:\w+(\{[^/]*\})?\??/g, ":")}`;
}

/** Paths that createApp serves itself. */
export const ownPaths = /^\/(?:rpc|workflows|events|healthz|readyz|openapi\.json|docs)(?:\/|$)/;

/** In the order in which they are mounted: of `/orders/mine` and `/orders/:id` the plain one is asked first. */
export function restRoutes(procedures: Iterable<AnyProcedure>): { procedure: AnyProcedure; route: HttpRoute }[] {
  const routes = new Map<string, { procedure: AnyProcedure; route: HttpRoute }>();
  for (const procedure of procedures) {
    const route = procedure.http;
    if (!route) continue;
    if (ownPaths.test(route.path)) {
      throw new TsdevError("duplicate_name", {
        message: `procedure "${procedure.name}" (${placeOf(procedure)}) has the path ${route.path}, which createApp uses itself`,
        fix: "give it another path",
        path: "http.path",
      });
    }
    const there = routes.get(keyOf(route));
    if (there) {
      const [a, b] = [there.procedure, procedure];
      throw new TsdevError("duplicate_name", {
        message: `procedures "${a.name}" (${placeOf(a)}) and "${b.name}" (${placeOf(b)}) have the same route ${route.method} ${route.path}`,
        fix: "give one of them another path or method",
      });
    }
    routes.set(keyOf(route), { procedure, route });
  }
  return [...routes.values()].sort((a, b) => (orderOf(a.route) < orderOf(b.route) ? -1 : 1));
}

/** Segment by segment, plain ones before parameters. */
function orderOf({ path }: HttpRoute): string {
  return path
    .split("/")
    .map((segment) => (segment.startsWith(":") ? "1" : "0") + segment)
    .join("/");
}

/** Mounts the REST routes; throws `duplicate_name` and `invalid_config`. */
export function mountRest(
  app: Hono,
  procedures: Iterable<AnyProcedure>,
  parts: { gate: Gate; maxBytes: number },
): void {
  for (const { procedure, route } of restRoutes(procedures)) {
    const read = routeInput(procedure, route, parts.maxBytes);
    const hide = hidePartsOf(procedure.input, placesOf(procedure, route));
    const handle = handlerOf(procedure, { read, hide, gate: parts.gate }, route.status);
    app.on(route.method, route.path, handle);
  }
}

/** Mounts POST /rpc/:procedure. Throws `not_found` naming those that there are. */
export function mountRpc(app: Hono, procedures: Iterable<AnyProcedure>, parts: { gate: Gate; maxBytes: number }): void {
  const handlers = new Map<string, (c: Context) => Promise<Response>>();
  for (const procedure of procedures) {
    const read = rpcInput(procedure, parts.maxBytes);
    handlers.set(procedure.name, handlerOf(procedure, { read, hide: hidePartsOf(procedure.input), gate: parts.gate }));
  }
  app.post("/rpc/:procedure", (c) => {
    const name = c.req.param("procedure");
    const handle = handlers.get(name);
    if (handle) return handle(c);
    throw new TsdevError("not_found", {
      message: `no procedure "${name}"`,
      fix: `known: ${[...handlers.keys()].join(", ") || "none"}`,
    });
  });
}

function handlerOf(
  procedure: AnyProcedure,
  { read, hide, gate }: { read: ReadInput; hide: HideParts | undefined; gate: Gate },
  status?: number,
) {
  const answer = answersOf(procedure, status);
  const isStream = itemOf(procedure.output) !== undefined;
  return async (c: Context): Promise<Response> => {
    hide?.(c);
    const asked = gate.principal(c);
    const principal = asked && (await asked);
    const input = await read(c);
    // The request's own signal knows of a client that leaves while the answer is made; within a stream it is told here.
    const stop = isStream ? new AbortController() : undefined;
    const { signal } = c.req.raw;
    const options: CallOptions = {
      signal: stop ? AbortSignal.any([signal, stop.signal]) : signal,
      idempotencyKey: c.req.header("idempotency-key") ?? randomUUID(),
    };
    if (principal) options.principal = principal;
    return answer(c, await call(procedure, input as never, options), stop);
  };
}
