// Pipeline progress: what the pipeline is doing now, told live to whoever watches; not stored.
import { EventEmitter, on } from "node:events";
import type { Progress } from "../../sdk/operation.ts";

export interface SuggestionEvent extends Progress {
  suggestion: string;
}

export class PipelineProgress {
  readonly #events = new EventEmitter({ captureRejections: true }).setMaxListeners(0);

  tell(suggestion: string, event: Progress): void {
    this.#events.emit("event", { suggestion, ...event } satisfies SuggestionEvent);
  }

  /** Events from now on until the signal aborts. */
  async *follow(signal: AbortSignal): AsyncGenerator<SuggestionEvent> {
    try {
      for await (const [event] of on(this.#events, "event", { signal })) yield event as SuggestionEvent;
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }
}
