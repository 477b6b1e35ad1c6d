// Emitter context: listeners on a request and its response run in the request's context, whoever emits.
import http from "node:http";
import type { Context } from "@opentelemetry/api";
import { activeContext, inContext } from "./active-context.ts";

const contextOf = Symbol("tsdev.context");
const beforeClose = Symbol("tsdev.before-close");

interface Emitter {
  [contextOf]?: Context;
  [beforeClose]?: () => void;
  emit(event: string | symbol, ...args: unknown[]): boolean;
  listenerCount(event: string | symbol): number;
}

const emitters = [http.IncomingMessage.prototype, http.ServerResponse.prototype] as unknown as Emitter[];
let installed = false;

// One `emit` on each prototype; binding every listener of every request costs more than the request's span.
function install(): void {
  if (installed) return;
  installed = true;
  for (const prototype of emitters) {
    const { emit } = prototype;
    prototype.emit = function emitInContext(this: Emitter, ...args: [string | symbol, ...unknown[]]): boolean {
      const own = this[contextOf];
      if (own === undefined) return Reflect.apply(emit, this, args) as boolean;
      if (args[0] === "close") this[beforeClose]?.();
      if (this.listenerCount(args[0]) === 0 || activeContext() === own)
        return Reflect.apply(emit, this, args) as boolean;
      return inContext(own, () => Reflect.apply(emit, this, args) as boolean);
    };
  }
}

/** From here on listeners of both run in `context`; a later call takes the place of an earlier one. */
export function setEmitterContext(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  context: Context,
  onClose?: () => void,
): void {
  install();
  (request as unknown as Emitter)[contextOf] = context;
  const answer = response as unknown as Emitter;
  answer[contextOf] = context;
  if (onClose) answer[beforeClose] = onClose;
}
