// No route: the answer where none fits, by what the path does take: 404, or 405 with Allow, or OPTIONS.
import type { Context, Hono } from "hono";
import { METHOD_NAME_ALL } from "hono/router";
import { TsdevError } from "../errors.ts";
import { routeMethods } from "../procedures/check-parts.ts";
import { toResponse } from "./problem.ts";

/** Also of routes that the author added, or mounted with an app of their own. */
export function noRoute(app: Hono, c: Context): Response {
  const allowed: string[] = routeMethods.filter((method) => takes(app, method, c.req.path));
  if (allowed.length === 0) {
    return toResponse(
      new TsdevError("not_found", {
        message: `no route for ${c.req.method} ${c.req.path}`,
        fix: "check the method and the path",
      }),
    );
  }
  if (allowed.includes("GET")) allowed.splice(1, 0, "HEAD");
  const allow = [...allowed, "OPTIONS"].join(", ");
  if (c.req.method === "OPTIONS") return new Response(null, { status: 204, headers: { allow } });
  const response = toResponse(
    new TsdevError("method_not_allowed", {
      message: `${c.req.path} does not take ${c.req.method}`,
      fix: `use ${allowed.join(", ")}`,
    }),
  );
  response.headers.set("allow", allow);
  return response;
}

function takes(app: Hono, method: string, path: string): boolean {
  // Handlers for all methods are middleware here: one that answers would have answered.
  return app.router.match(method, path)[0].some(([[, route]]) => route.method !== METHOD_NAME_ALL);
}
