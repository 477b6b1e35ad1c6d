// App state: what `serve` and the routes of `createApp` share about one app.
import type { Hono } from "hono";
import type { Engine } from "../engine/engine.ts";
import type { AnyWorkflow } from "../workflows/workflow.ts";

export interface AppState {
  readonly workflows: readonly AnyWorkflow[];
  /** Opens the engine at the first call. */
  engine(): Promise<Engine>;
  /** True from SIGTERM on: `/readyz` fails. */
  draining: boolean;
}

const states = new WeakMap<object, AppState>();

export function setState(app: Hono, state: AppState): void {
  states.set(app, state);
}

export function stateOf(app: object): AppState | undefined {
  return states.get(app);
}
