// For tests: an embedded Postgres in a fresh folder, ended and removed afterwards.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, openEmbeddedPostgres } from "./embedded-postgres.ts";

export interface TemporaryPostgres extends EmbeddedPostgres {
  directory: string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens one; dispose it (`await using`, or in `afterAll`). */
export async function temporaryPostgres(): Promise<TemporaryPostgres> {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-postgres-"));
  const server = await openEmbeddedPostgres({ directory });
  return {
    ...server,
    directory,
    async [Symbol.asyncDispose]() {
      await server.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
