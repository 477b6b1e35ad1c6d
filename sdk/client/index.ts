// @tsdev/sdk/client: calls an app by the types of its contracts, in browsers and in Node.
export { ClientError, type Issue, isError } from "./client-error.ts";
export type { Caller, Client, StartOptions, WorkflowClient } from "./contracts.ts";
export { createClient } from "./create-client.ts";
export type { Jsonify } from "./jsonify.ts";
export type { CallOptions, ClientOptions } from "./request.ts";
export type { FollowOptions, RunHandle, RunInfo } from "./runs.ts";
