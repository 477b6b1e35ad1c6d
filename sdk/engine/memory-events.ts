// Memory events: published events that live as long as the process, each once for its id.
import { fitsWait, type PublishedEvent } from "./run-store.ts";

export class MemoryEvents {
  #events: (PublishedEvent & { at: number; dispatched: boolean })[] = [];
  #newest = 0;

  /** The number of the newest event. */
  get newest(): number {
    return this.#newest;
  }

  /** False: it is there already. */
  publish(event: Omit<PublishedEvent, "seq">): boolean {
    if (this.#events.some(({ id }) => id === event.id)) return false;
    this.#events.push({ ...event, seq: ++this.#newest, at: performance.now(), dispatched: false });
    return true;
  }

  find(
    { name, key }: Pick<PublishedEvent, "name" | "key">,
    after: number,
    except: readonly string[],
  ): PublishedEvent | undefined {
    const wait = { event: name, key: key ?? undefined };
    return this.#events.find((event) => event.seq > after && fitsWait(event, wait) && !except.includes(event.id));
  }

  undispatched(names: readonly string[], limit: number): PublishedEvent[] {
    return this.#events.filter(({ name, dispatched }) => !dispatched && names.includes(name)).slice(0, limit);
  }

  dispatched(ids: readonly string[]): void {
    for (const event of this.#events) if (ids.includes(event.id)) event.dispatched = true;
  }

  /** Forgets what was published longer ago. */
  prune(retainMs: number): void {
    this.#events = this.#events.filter(({ at }) => at > performance.now() - retainMs);
  }
}
