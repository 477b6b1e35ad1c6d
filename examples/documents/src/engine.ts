// The engine that all runs of this app live in; a module of its own, so that procedures can start runs too.
import { openEngine } from "@tsdev/sdk";
import { settings } from "./settings.ts";

export const engine = await openEngine({ databaseUrl: settings.databaseUrl, leaseMs: settings.leaseMs });
