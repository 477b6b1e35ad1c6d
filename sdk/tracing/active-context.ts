// Active context: the one context manager of the process, reached without the detour through OpenTelemetry's globals.
import { type Context, context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";

const manager = new AsyncLocalStorageContextManager();

/** Carries what belongs to a request through everything asynchronous; replay needs it also without traces. */
export function startContext(): void {
  context.setGlobalContextManager(manager.enable());
}

export const activeContext = (): Context => manager.active();

export function inContext<R>(active: Context, work: () => R): R {
  return manager.with(active, work);
}

/** A function that runs in `active`, whoever calls it. */
export function boundTo<F extends (...args: never[]) => unknown>(active: Context, fn: F): F {
  return manager.bind(active, fn);
}
