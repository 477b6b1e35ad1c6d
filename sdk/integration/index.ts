// @tsdev/sdk/integration: what the procedures that `tsdev integrate` prints stand on.
export type { Credential, Scheme } from "./credentials.ts";
export type { Operation, Parameter } from "./request.ts";
export { type Upstream, type UpstreamSettings, upstream } from "./upstream.ts";
export { UpstreamError } from "./upstream-error.ts";
