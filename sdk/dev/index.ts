// @tsdev/sdk/dev: what an app may say to `tsdev dev`.
export { keep, onReload } from "./host.ts";
