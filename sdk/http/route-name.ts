// Route name: the template of the route that answered, on the server's span, so that traces group by it exactly.
import { type Span, trace } from "@opentelemetry/api";
import type { Context, MiddlewareHandler, Next } from "hono";
import { routePath } from "hono/route";
import { ATTR_HTTP_ROUTE } from "../semantic-conventions.ts";

/** A middleware for the whole app; it must come before the routes. */
export const nameRoute: MiddlewareHandler = (c, next) => {
  // The span that is active here is the server's; within the handler it may be another.
  const span = trace.getActiveSpan();
  return span ? named(span, c, next) : next();
};

async function named(span: Span, c: Context, next: Next): Promise<void> {
  await next();
  // After `next` Hono's index stands at the handler that answered. A bare wildcard is a middleware: nothing matched.
  const route = routePath(c);
  if (route === "*" || route === "/*") return;
  span.setAttribute(ATTR_HTTP_ROUTE, route);
  span.updateName(`${c.req.method} ${route}`);
}
