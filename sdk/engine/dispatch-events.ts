// Dispatches published events: runs that wait for them are woken, event triggers start theirs. An event is marked when
// all of it is done, so that what a crash left undone is done again, and a run's id makes doing it twice one run.
import type { Log } from "../log.ts";
import type { Registry } from "../registry.ts";
import { beginRun, isPassing } from "../triggers/begin-run.ts";
import { matchEvents } from "../triggers/match-event.ts";
import type { Engine } from "./engine.ts";
import type { RunStore } from "./run-store.ts";

const batch = 100;

export async function dispatchEvents(engine: Engine, store: RunStore, registry: Registry, log: Log): Promise<void> {
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
