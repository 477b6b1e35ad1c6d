// @tsdev/sdk/http: procedures and workflows over HTTP on Hono, and a server that stops without a failed request.
export type { Access, Authenticate } from "./access.ts";
export { type App, type AppOptions, createApp } from "./create-app.ts";
export type { ApiInfo } from "./openapi.ts";
export { type Problem, type ProblemIssue, problemOf, toResponse } from "./problem.ts";
export type { RunAccess } from "./run-gate.ts";
export { type ServeOptions, type Server, serve } from "./serve.ts";
