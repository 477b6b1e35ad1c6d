// Introspection routes: GET /_tsdev/registry, in development or for whom the app lets in.
import { Hono } from "hono";
import { TsdevError } from "../errors.ts";
import { toResponse } from "../http/problem.ts";
import type { Registry } from "../registry.ts";
import { describe } from "./describe.ts";
import { toMermaid } from "./mermaid.ts";

export interface IntrospectionOptions {
  /** Whether this request may see the registry. Default: only where NODE_ENV is `development`. */
  allow?: (request: Request) => boolean | Promise<boolean>;
}

/**
 * GET /_tsdev/registry answers the description of the app, GET /_tsdev/workflows/{name}.mmd a workflow's flowchart. Whom
 * it does not let in it answers 404, as if nothing were there.
 *
 * @example
 * app.route("/", introspectionRoutes(registry));
 */
export function introspectionRoutes(registry: Registry, options: IntrospectionOptions = {}): Hono {
  const allow = options.allow ?? (() => process.env.NODE_ENV === "development");
  const app = new Hono();
  const absent = () =>
    toResponse(new TsdevError("not_found", { message: "no such route", fix: "check the method and the path" }));
  app.use("/_tsdev/*", async (c, next) => ((await allow(c.req.raw)) ? next() : absent()));
  app.get("/_tsdev/registry", (c) => c.json(describe(registry)));
  app.get("/_tsdev/workflows/:file{.+\\.mmd}", (c) => {
    const workflow = registry.workflows.get(c.req.param("file").slice(0, -".mmd".length));
    return workflow ? c.text(toMermaid(workflow)) : absent();
  });
  return app;
}
