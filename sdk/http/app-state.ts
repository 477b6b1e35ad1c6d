// App state: what `serve` and the routes of `createApp` share about one app.
import type { Hono } from "hono";
import type { Engine } from "../engine/engine.ts";
import type { Registry } from "../registry.ts";

export interface AppState {
  /** What the engine works for, and what is served. */
  readonly registry: Registry;
  /** Opens the engine at the first call. */
  engine(): Promise<Engine>;
  /** True from SIGTERM on: `/readyz` fails. */
  draining: boolean;
  /** Aborted when the server stops to listen: answers without an end, such as events of runs, end. */
  readonly stopping: AbortController;
}

const states = new WeakMap<object, AppState>();

export function setState(app: Hono, state: AppState): void {
  states.set(app, state);
}

export function stateOf(app: object): AppState | undefined {
  return states.get(app);
}
