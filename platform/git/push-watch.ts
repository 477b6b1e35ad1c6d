// Push watch: finds what was pushed to a Git host that does not tell us, by asking for the heads that environments follow.
import { setTimeout as delay } from "node:timers/promises";
import type { Kysely } from "kysely";
import { TsdevError } from "../../sdk/errors.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import type { GitHost } from "./git-host.ts";
import { type UnrecordedPush, unrecordedPushes } from "./unrecorded-pushes.ts";

/**
 * Somebody who has pushed looks after a few seconds, and a build takes as long. One look at one branch is 360 requests an
 * hour, nearly all answered "not modified", which GitHub does not count against the 5,000 that a token has.
 */
const everyMs = 10_000;
/** A project that cannot be looked at (no access, GitHub away, limit reached) is left alone twice as long each time, up to this. */
const longestPauseMs = 300_000;

export interface PushWatchParts {
  db: Kysely<DatabaseSchema>;
  host: GitHost;
  /** Told of every push that is found, again when the first telling was interrupted: it must do nothing twice. */
  onPush(push: UnrecordedPush): Promise<void>;
  /** After each look at a project: pull requests may have been merged or closed. */
  onLooked(projectId: string): Promise<void>;
  log(message: string): void;
  signal: AbortSignal;
}

export interface PushWatch {
  /** Looks at one project now. */
  look(projectId: string): Promise<void>;
  /** Resolves soon after the signal; a look under way is not waited for. */
  done: Promise<void>;
}

/** Looks at every project of the host, now and then regularly, one after the other. */
export function watchPushes(parts: PushWatchParts): PushWatch {
  const { db, host, signal } = parts;
  const troubles = new Map<string, { message: string; pauseMs: number; until: number }>();

  async function look(projectId: string): Promise<void> {
    for (const push of await unrecordedPushes({ host, db, projectId })) await parts.onPush(push);
    await parts.onLooked(projectId);
  }

  async function round(): Promise<void> {
    const projects = await db
      .selectFrom("projects")
      .select(["id", "name"])
      .where("git_host", "=", host.kind)
      .orderBy("created_at")
      .execute();
    for (const { id, name } of projects) {
      const trouble = troubles.get(id);
      if (signal.aborted || (trouble && trouble.until > Date.now())) continue;
      try {
        await look(id);
        if (troubles.delete(id)) parts.log(`${name} is reached on ${host.kind} again`);
      } catch (thrown) {
        if (signal.aborted) return;
        const { message, fix } = TsdevError.from(thrown);
        // said once, not at every look
        if (trouble?.message !== message) parts.log(`pushes to ${name} cannot be looked for: ${message}; ${fix}`);
        const pauseMs = Math.min((trouble?.pauseMs ?? everyMs) * 2, longestPauseMs);
        troubles.set(id, { message, pauseMs, until: Date.now() + pauseMs });
      }
    }
  }

  const stopped = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

  async function watch(): Promise<void> {
    while (!signal.aborted) {
      await round().catch((thrown: unknown) => {
        if (!signal.aborted) parts.log(`looking for pushes: ${TsdevError.from(thrown).message}`);
      });
      await delay(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  return { look, done: Promise.race([watch(), stopped]) };
}
