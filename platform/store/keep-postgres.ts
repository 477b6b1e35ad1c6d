// Keeps the embedded Postgres running: one that ends while the control plane runs (killed, a full disk) is started again.
import { join, resolve } from "node:path";
import { TsdevError } from "../../sdk/errors.ts";
import { openEmbeddedPostgres } from "./embedded-postgres.ts";
import { isPostgresOn, readPidFile } from "./postgres-process.ts";

const lookEveryMs = 1000;

export interface KeptPostgres {
  /** Ends the watch, not the server; resolves when no start is under way any more. */
  close(): Promise<void>;
}

/**
 * Looks at the server on `directory` once a second. What goes wrong with a start is logged once until one succeeds, and
 * tried again: a disk that was full has room at some time.
 */
export function keepPostgres(options: { directory: string; log: (message: string) => void }): KeptPostgres {
  const { log } = options;
  const directory = resolve(options.directory);
  const data = join(directory, "data");
  const stop = new AbortController();
  let looking = Promise.resolve();
  let busy = false;
  let complained = false;

  async function look(): Promise<void> {
    const found = await readPidFile(data);
    if (found !== null && (await isPostgresOn(found.pid, data))) return;
    if (!complained) log("Postgres has ended; it is started again");
    try {
      await openEmbeddedPostgres({ directory, signal: stop.signal });
      complained = false;
    } catch (thrown) {
      if (stop.signal.aborted || complained) return;
      complained = true;
      const { message, fix } = TsdevError.from(thrown);
      log(`Postgres does not start again: ${message}; ${fix}`);
    }
  }

  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    looking = look().finally(() => {
      busy = false;
    });
  }, lookEveryMs);
  timer.unref();

  return {
    async close() {
      clearInterval(timer);
      stop.abort();
      await looking;
    },
  };
}
