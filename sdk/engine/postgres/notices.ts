// Notices: what one process tells the others at once, over LISTEN and NOTIFY. Invariants:
// 1. A notice is sent after the commit it speaks of, and not in it: a commit that notifies takes a lock of the whole
//    database.
// 2. One that is lost only costs time: polling is behind all of them.
import type { Notice } from "../run-store.ts";
import type { Connection } from "./connection.ts";

type Payload = "due" | "event" | `run:${string}`;

const channel = "tsdev";

export class Notices {
  readonly #db: Connection;
  readonly #waiting = new Set<Payload>();
  #sending = false;

  constructor(db: Connection) {
    this.#db = db;
  }

  tell(payload: Payload): void {
    this.#waiting.add(payload);
    if (!this.#sending) void this.#send();
  }

  listen(onNotice: (notice: Notice) => void): void {
    const onPayload = (payload: string) => {
      if (payload === "due" || payload === "event") onNotice({ kind: payload });
      else if (payload.startsWith("run:")) onNotice({ kind: "run", runId: payload.slice(4) });
    };
    // What was said while nobody listened.
    void this.#db.listen(channel, onPayload, () => onNotice({ kind: "due" }));
  }

  async #send(): Promise<void> {
    this.#sending = true;
    // What else is said in this tick goes along.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const payloads = [...this.#waiting];
      this.#waiting.clear();
      await this.#db
        .result("notify", `SELECT pg_notify('${channel}', p) FROM unnest($1::text[]) p`, [payloads], 0)
        .catch(() => {});
    }
    this.#sending = false;
  }
}
