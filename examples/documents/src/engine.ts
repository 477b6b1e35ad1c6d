// The engine that all runs of this app live in; a module of its own, so that procedures can start runs too.
import { type Engine, openEngine } from "@tsdev/sdk";
import { settings } from "./settings.ts";

let opened: Promise<Engine> | undefined;

/** Opened when it is first asked for: what the app declares can be imported, checked and drawn without a database. */
export function engine(): Promise<Engine> {
  opened ??= openEngine({ databaseUrl: settings.databaseUrl, leaseMs: settings.leaseMs });
  return opened;
}
