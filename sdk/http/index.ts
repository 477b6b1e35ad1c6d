// @tsdev/sdk/http: procedures and workflows over HTTP on Hono, and a server that stops without a failed request.
export { type AppOptions, createApp } from "./create-app.ts";
export { problemOf, toResponse } from "./problem.ts";
export { type ServeOptions, type Server, serve } from "./serve.ts";
