// Drizzle: its queries begin when they are awaited; the driver's span gets the place from where.

import { hopping, type Then } from "./lazy-thenable.ts";
import type { Patch } from "./library-hooks.ts";

export const patch: Patch = (_file, { QueryPromise }, tracers) => {
  const { prototype } = QueryPromise as { prototype: { then: Then } };
  if (typeof prototype?.then !== "function") throw new Error("QueryPromise.prototype.then is missing");
  // biome-ignore lint/suspicious/noThenProperty: it has one.
  prototype.then = hopping(prototype.then, tracers.getTracer("@tsdev/sdk/drizzle").source.callSites);
  return undefined;
};
