// Published events: rows of `tsdev.events`, each once for its id, found by name, key and number.
import type { PublishedEvent } from "../run-store.ts";
import { decode, encode } from "./codec.ts";
import type { Connection } from "./connection.ts";
import type { Notices } from "./notices.ts";

interface EventRow {
  /** bigint comes as text. */
  seq: string;
  id: string;
  name: string;
  key: string | null;
  payload: string;
}

function toEvent({ seq, id, name, key, payload }: EventRow): PublishedEvent {
  return { seq: Number(seq), id, name, key, payload: decode(payload) };
}

export class PublishedEvents {
  readonly #db: Connection;
  readonly #notices: Notices;

  constructor(db: Connection, notices: Notices) {
    this.#db = db;
    this.#notices = notices;
  }

  async publish({ id, name, key, payload }: Omit<PublishedEvent, "seq">): Promise<boolean> {
    const inserted = await this.#db.result(
      "publish",
      "INSERT INTO tsdev.events (id, name, key, payload) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
      [id, name, key, encode(payload)],
    );
    this.#notices.tell("event");
    return inserted.rowCount === 1;
  }

  async find(
    { name, key }: Pick<PublishedEvent, "name" | "key">,
    after: number,
    except: readonly string[],
  ): Promise<PublishedEvent | undefined> {
    const [row] = await this.#db.rows<EventRow>(
      "find-event",
      `SELECT seq, id, name, key, payload FROM tsdev.events
        WHERE name = $1 AND seq > $3 AND ($2::text IS NULL OR key IS NULL OR key = $2) AND id <> ALL ($4::text[])
        ORDER BY seq LIMIT 1`,
      [name, key, after, except],
    );
    return row && toEvent(row);
  }

  async undispatched(names: readonly string[], limit: number): Promise<PublishedEvent[]> {
    const rows = await this.#db.rows<EventRow>(
      "undispatched",
      `SELECT seq, id, name, key, payload FROM tsdev.events
        WHERE NOT dispatched AND name = ANY ($1::text[]) ORDER BY seq LIMIT $2`,
      [names, limit],
    );
    return rows.map(toEvent);
  }

  async dispatched(ids: readonly string[]): Promise<void> {
    await this.#db.result("dispatched", "UPDATE tsdev.events SET dispatched = true WHERE id = ANY ($1::text[])", [ids]);
  }
}
