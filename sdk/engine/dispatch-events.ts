// Dispatches published events: runs that wait for them are woken, event triggers start theirs. An event is marked when
// all of it is done, so that what a crash left undone is done again, and a run's id makes doing it twice one run.
import type { Log } from "../log.ts";
import type { Registry } from "../registry.ts";
import { beginRun, isPassing } from "../triggers/begin-run.ts";
import { matchEvents } from "../triggers/match-event.ts";
import type { Engine } from "./engine.ts";
import type { RunStore } from "./run-store.ts";

const batch = 100;

async function dispatchEvents(engine: Engine, store: RunStore, registry: Registry, log: Log): Promise<void> {
  const names = [...registry.events.keys()];
  if (names.length === 0) return;
  for (;;) {
    const events = await store.undispatched(names, batch);
    for (const event of events) {
      await store.wakeFor(event);
      for (const { trigger, input } of await matchEvents(registry.triggers.values(), event, event.payload, log)) {
        try {
          await beginRun(engine, trigger, event.id, input);
        } catch (error) {
          if (isPassing(error)) throw error;
          log.error("an event could not start its run", {
            trigger: trigger.name,
            event: event.name,
            id: event.id,
            error,
          });
        }
      }
      await store.dispatched([event.id]);
    }
    if (events.length < batch) return;
  }
}

/** Dispatches what was published for the triggers of a registry, never twice at once. */
export class Dispatcher {
  readonly #engine: Engine;
  readonly #store: RunStore;
  readonly #log: Log;
  #registry: Registry | undefined;
  #dispatching: Promise<void> | undefined;
  #again = false;
  #closing = false;

  constructor(engine: Engine, store: RunStore, log: Log) {
    this.#engine = engine;
    this.#store = store;
    this.#log = log;
  }

  /** From now on the events of this registry are dispatched here. */
  serve(registry: Registry): void {
    this.#registry = registry;
  }

  beginNoMore(): void {
    this.#closing = true;
  }

  async stopped(): Promise<void> {
    await this.#dispatching;
  }

  /** Looks whether something is to be dispatched; once more when it is looking already. */
  look(): void {
    const registry = this.#registry;
    if (!registry || this.#closing) return;
    if (this.#dispatching) {
      this.#again = true;
      return;
    }
    this.#dispatching = (async () => {
      do {
        this.#again = false;
        await dispatchEvents(this.#engine, this.#store, registry, this.#log);
      } while (this.#again && !this.#closing);
    })()
      .catch((error) => this.#log.warn("events could not be dispatched and are later", { error: String(error) }))
      .finally(() => {
        this.#dispatching = undefined;
      });
  }
}
