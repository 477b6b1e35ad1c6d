// Pipeline progress: what the pipeline is doing now, told live to whoever watches; not stored.
import { EventEmitter } from "node:events";
import type { Progress } from "../../sdk/operation.ts";

const mostWaiting = 1000;

export interface SuggestionEvent extends Progress {
  suggestion: string;
}

export class PipelineProgress {
  readonly #events = new EventEmitter().setMaxListeners(0);

  tell(suggestion: string, event: Progress): void {
    this.#events.emit("event", { suggestion, ...event } satisfies SuggestionEvent);
  }

  /** Events from now on until the signal aborts; who reads too slowly misses the oldest. */
  async *follow(signal: AbortSignal): AsyncGenerator<SuggestionEvent> {
    const waiting: SuggestionEvent[] = [];
    let wake = () => {};
    const hear = (event: SuggestionEvent) => {
      waiting.push(event);
      if (waiting.length > mostWaiting) waiting.shift();
      wake();
    };
    const stop = () => wake();
    this.#events.on("event", hear);
    signal.addEventListener("abort", stop);
    try {
      while (!signal.aborted) {
        const event = waiting.shift();
        if (event) yield event;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      this.#events.off("event", hear);
      signal.removeEventListener("abort", stop);
    }
  }
}
