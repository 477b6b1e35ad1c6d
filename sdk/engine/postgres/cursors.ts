// Cursors: how far something that goes on for ever has come, by name. One is moved only from where its mover saw it, so
// that of several workers one does each part.
import type { Connection } from "./connection.ts";

export class Cursors {
  readonly #db: Connection;

  constructor(db: Connection) {
    this.#db = db;
  }

  async get(name: string): Promise<string | null> {
    const [row] = await this.#db.rows<{ value: string }>("cursor", "SELECT value FROM tsdev.cursors WHERE name = $1", [
      name,
    ]);
    return row?.value ?? null;
  }

  async move(name: string, from: string | null, to: string): Promise<boolean> {
    const moved = await this.#db.result(
      from === null ? "set-cursor" : "move-cursor",
      from === null
        ? "INSERT INTO tsdev.cursors (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING"
        : "UPDATE tsdev.cursors SET value = $2 WHERE name = $1 AND value = $3",
      from === null ? [name, to] : [name, to, from],
    );
    return moved.rowCount === 1;
  }
}
