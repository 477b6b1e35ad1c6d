// Fixture: a clock that tests move. What sleeps by it wakes in order; its wall time can jump while its timers go on.
import { setImmediate as turn } from "node:timers/promises";

export class TestClock {
  /** Milliseconds of wall time, what a database would say. */
  wall: number;
  #sleepers: { at: number; wake: () => void }[] = [];
  #timers = 0;

  constructor(iso: string) {
    this.wall = Date.parse(iso);
  }

  now = (): Date => new Date(this.wall);

  /** Sets the wall time, as when an administrator or a failover does. */
  jump(iso: string): void {
    this.wall = Date.parse(iso);
  }

  sleep = (ms: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      this.#sleepers.push({ at: this.#timers + ms, wake: resolve });
      signal.addEventListener("abort", () => resolve(), { once: true });
    });

  /** Lets so much time pass, waking whoever sleeps. */
  async pass(ms: number): Promise<void> {
    const end = this.#timers + ms;
    for (;;) {
      await settled();
      this.#sleepers.sort((a, b) => a.at - b.at);
      const next = this.#sleepers[0];
      if (!next || next.at > end) break;
      this.#sleepers.shift();
      this.#move(next.at);
      next.wake();
    }
    this.#move(end);
  }

  #move(to: number): void {
    this.wall += to - this.#timers;
    this.#timers = to;
  }
}

/** Lets everything run that waits for nothing but its turn. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 4; turns++) await turn();
}
