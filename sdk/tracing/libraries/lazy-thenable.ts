// Lazy thenable: a query that begins when it is awaited is begun one microtask later, where the awaiting code is on the stack.
import { trace } from "@opentelemetry/api";
import { activeContext, inContext } from "../active-context.ts";
import { type CallSites, callSiteKey } from "../call-site.ts";
import { RecordedSpan } from "../span.ts";

type Settle = ((value: never) => unknown) | null | undefined;
export type Then = (this: unknown, onFulfilled?: Settle, onRejected?: Settle) => unknown;

/**
 * `await` calls `then` from an empty stack. In a reaction whose promise leads to the one that is awaited the engine walks
 * on to the app's frames. `then` is called once, as before, and the settled value passes through.
 */
export function hopping(then: Then, callSites: CallSites): Then {
  return function tracedThen(onFulfilled, onRejected) {
    const active = activeContext();
    if (!(trace.getSpan(active) instanceof RecordedSpan)) return then.call(this, onFulfilled, onRejected);
    const direct = callSites.capture(tracedThen);
    const begin = () => then.call(this);
    return Promise.resolve()
      .then(function hop() {
        const awaiting = callSites.capture(hop);
        const site = awaiting.length > 0 ? awaiting : direct;
        return site.length > 0 ? inContext(active.setValue(callSiteKey, site), begin) : begin();
      })
      .then(onFulfilled as never, onRejected as never);
  };
}
