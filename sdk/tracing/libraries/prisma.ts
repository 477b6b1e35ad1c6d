// Prisma: its operations begin when they are awaited and are batched; the driver's span gets the place from where.
import { activeContext, inContext } from "../active-context.ts";
import { type CallSites, callSiteKey } from "../call-site.ts";
import { hopping, type Then } from "./lazy-thenable.ts";
import type { Patch } from "./library-hooks.ts";

interface PrismaPromise {
  then: Then;
  requestTransaction?: (...args: unknown[]) => unknown;
}
type CreatePromise = (this: unknown, ...args: unknown[]) => PrismaPromise;
interface ClientClass {
  new (...args: unknown[]): { _createPrismaPromise: CreatePromise };
}
type GetClient = (...args: unknown[]) => ClientClass;

/** Of Prisma's contract for instrumentations; the client looks it up at each call. */
interface TracingHelper {
  isEnabled(): boolean;
  getTraceParent(): string;
  dispatchEngineSpans(): void;
  getActiveContext(): undefined;
  runInChildSpan(options: string | { name: string }, work: () => unknown): unknown;
}

const patched = Symbol("tsdev.patched");

export const patch: Patch = (file, exports, tracers) => {
  // The package's own main file and the runtime have the same name; only the runtime makes clients.
  if (file === "" || patched in exports) return undefined;
  const { callSites } = tracers.getTracer("@tsdev/sdk/prisma").source;
  const getClient = exports.getPrismaClient as GetClient;
  if (typeof getClient !== "function") throw new Error("getPrismaClient is missing");
  const traced: GetClient = (...args) => placed(getClient(...args), callSites);
  offerHelper(callSites);
  // What stands there are getters, which cannot be given another value.
  return { ...exports, getPrismaClient: traced, [patched]: true };
};

/** Outside of interactive transactions every operation is a promise that the client makes. */
function placed(Client: ClientClass, callSites: CallSites): ClientClass {
  return class PrismaClient extends Client {
    constructor(...args: unknown[]) {
      super(...args);
      const create = this._createPrismaPromise;
      if (typeof create !== "function") return;
      this._createPrismaPromise = function tracedCreate(...rest) {
        const promise = create.apply(this, rest);
        // biome-ignore lint/suspicious/noThenProperty: it has one.
        promise.then = hopping(promise.then, callSites);
        const { requestTransaction } = promise;
        if (requestTransaction) {
          // The operations of an array are sent together, in the context of the first.
          promise.requestTransaction = function tracedRequest(...batch) {
            const site = callSites.capture(tracedRequest);
            const active = activeContext().setValue(callSiteKey, site);
            return inContext(active, () => requestTransaction.apply(promise, batch));
          };
        }
        return promise;
      };
    }
  };
}

/** Inside of interactive transactions operations are seen by the helper only. */
function offerHelper(callSites: CallSites): void {
  const known = globalThis as { PRISMA_INSTRUMENTATION?: { helper: TracingHelper } };
  known.PRISMA_INSTRUMENTATION ??= {
    helper: {
      isEnabled: () => true,
      getTraceParent: () => "00-10-10-00",
      dispatchEngineSpans: () => {},
      getActiveContext: () => undefined,
      runInChildSpan: (options, work) => {
        if ((typeof options === "string" ? options : options.name) !== "operation") return work();
        const active = activeContext();
        return Promise.resolve().then(function hop() {
          const site = callSites.capture(hop);
          return site.length > 0 ? inContext(active.setValue(callSiteKey, site), work) : work();
        });
      },
    },
  };
}
