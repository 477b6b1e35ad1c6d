// Scheduler of crons: one loop that starts the runs of scheduled times, beside any number of others like it.
//
// Invariants:
// 1. A scheduled time is one run: its id is made of the trigger and the time, so a second start is the same run.
// 2. The cursor of a trigger is the last time that is dealt with. It moves after the run is begun, never before, so a
//    scheduler that dies between the two leaves the time to the next one.
// 3. Only the engine's clock says whether a time has come. A timer of this process wakes the loop, which asks the clock;
//    so nothing fires early, whatever the timer, a sleeping machine or a wrong clock here did.
// 4. A schedule that was changed begins anew: its cursor's name has the schedule in it.
import { setTimeout as wait } from "node:timers/promises";
import type { Engine } from "../engine/engine.ts";
import type { Log } from "../log.ts";
import { beginRun, inputOf, isPassing } from "./begin-run.ts";
import { parseSchedule, type Schedule } from "./cron-schedule.ts";
import type { CronTrigger } from "./trigger.ts";

/** The latest time counts as met when it is at most so late, milliseconds: what a restart or a failover takes. */
const lateMs = 60_000;
/** A time with a later one behind it counts as met when it is at most so late: what a busy process takes. */
const crowdedMs = 5_000;
/** How many missed times are caught up with. */
const mostMissed = 100;
/** The clock is asked at least so often, so that its jumps are noticed. */
const longestWaitMs = 30_000;
/** How far the cursor may lie ahead of the clock before the clock counts as set back. */
const setBackMs = 60_000;

export interface SchedulerParts {
  log: Log;
  signal: AbortSignal;
  /** Resolves after so many milliseconds, or when the signal aborts. Default: a timer. */
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
}

interface Entry {
  readonly trigger: CronTrigger;
  readonly schedule: Schedule;
  readonly cursorName: string;
  /** The last time that is dealt with, as far as this scheduler knows; undefined: not asked yet. */
  cursor: string | undefined;
}

/** Runs until the signal aborts; never rejects. */
export async function scheduleCrons(
  triggers: readonly CronTrigger[],
  engine: Engine,
  { log, signal, sleep = timer }: SchedulerParts,
): Promise<void> {
  const entries = triggers.map((trigger): Entry => {
    const { name, schedule, timeZone } = trigger;
    const cursorName = `cron:${name}:${schedule}:${timeZone}`;
    return { trigger, schedule: parseSchedule(schedule, timeZone), cursorName, cursor: undefined };
  });
  let failures = 0;
  while (!signal.aborted) {
    let waitMs = longestWaitMs;
    try {
      const now = await engine.now();
      const asked = performance.now();
      const failed = new Set<Entry>();
      await Promise.all(
        entries.map(async (entry) => {
          try {
            await fireDue(entry, engine, now, log, signal);
          } catch (error) {
            failed.add(entry);
            // Not each time: while a database is away this is said by every round.
            if (failures === 0) log.warn("a cron could not fire and is tried again", about(entry, { error }));
          }
        }),
      );
      failures = failed.size === 0 ? 0 : failures + 1;
      const passed = performance.now() - asked;
      for (const entry of entries) {
        if (failed.has(entry)) continue;
        const next = entry.schedule.next(now);
        if (next) waitMs = Math.min(waitMs, next.getTime() - now.getTime() - passed);
      }
    } catch (error) {
      failures++;
      if (failures === 1) log.warn("the engine's clock could not be asked; crons wait", { error });
    }
    if (failures > 0) waitMs = Math.min(waitMs, 100 * 2 ** Math.min(failures, 6));
    // A timer may be a millisecond early; then the clock is asked once more, and not in a busy loop.
    await sleep(Math.max(1, Math.ceil(waitMs)), signal);
  }
}

/** Starts what is due by `now`. Throws what passes by itself, with the cursor before the time that is to be tried again. */
async function fireDue(entry: Entry, engine: Engine, now: Date, log: Log, signal: AbortSignal): Promise<void> {
  const { trigger, schedule, cursorName } = entry;
  if (entry.cursor === undefined) {
    const iso = now.toISOString();
    entry.cursor = (await engine.cursor(cursorName)) ?? undefined;
    // Seen for the first time: it fires from now on.
    if (entry.cursor === undefined) {
      const first = await engine.moveCursor(cursorName, null, iso);
      entry.cursor = first ? iso : ((await engine.cursor(cursorName)) ?? undefined);
    }
    if (entry.cursor === undefined) return;
  }
  if (new Date(entry.cursor).getTime() > now.getTime() + setBackMs) {
    // Else nothing would fire until the clock has come there again. Times that fired already are the same runs.
    log.warn("the clock was set back: the cron goes on from now", about(entry, { cursor: entry.cursor, now }));
    const iso = now.toISOString();
    entry.cursor = (await engine.moveCursor(cursorName, entry.cursor, iso)) ? iso : undefined;
    return;
  }
  if (!schedule.between(new Date(entry.cursor), now, 1).times.length) return;
  // Something is due. Another scheduler may have done it meanwhile.
  entry.cursor = (await engine.cursor(cursorName)) ?? undefined;
  if (entry.cursor === undefined) return;
  const { times, more } = schedule.between(new Date(entry.cursor), now, mostMissed);
  const due = pick(times, now, trigger.missed);
  const left = times.length - due.length;
  if (left > 0 || more) {
    const count = more ? `more than ${mostMissed}` : left;
    log.info("scheduled times passed while no scheduler ran", about(entry, { left: count, fired: due.length }));
  }
  for (const at of due) {
    if (signal.aborted) return;
    await fire(entry, engine, at, log);
    if (!(await move(entry, engine, at))) return;
  }
  const last = times.at(-1);
  if (last !== undefined && last !== due.at(-1)) await move(entry, engine, last);
}

/** Which of the times that are due become runs. */
export function pick(times: readonly Date[], now: Date, missed: CronTrigger["missed"]): readonly Date[] {
  if (missed === "all") return times;
  const met = times.filter((at, index) => {
    const late = now.getTime() - at.getTime();
    return late <= (index === times.length - 1 ? lateMs : crowdedMs);
  });
  return met.length === 0 && missed === "once" ? times.slice(-1) : met;
}

async function fire(entry: Entry, engine: Engine, at: Date, log: Log): Promise<void> {
  const id = at.toISOString();
  try {
    const { trigger } = entry;
    await beginRun(
      engine,
      trigger,
      id,
      inputOf(trigger, () => trigger.input(at)),
    );
  } catch (error) {
    if (isPassing(error)) throw error;
    // Its input does not fit the workflow, and would not the next time: the schedule goes on.
    log.error("a cron could not start its run", about(entry, { at: id, error }));
  }
}

/** False: another scheduler was quicker, and has seen to what comes after too. */
async function move(entry: Entry, engine: Engine, at: Date): Promise<boolean> {
  const to = at.toISOString();
  if (entry.cursor === to) return true;
  const moved = await engine.moveCursor(entry.cursorName, entry.cursor ?? null, to);
  entry.cursor = moved ? to : undefined;
  return moved;
}

function about({ trigger }: Entry, more: Record<string, unknown>): Record<string, unknown> {
  return { trigger: trigger.name, schedule: trigger.schedule, timeZone: trigger.timeZone, ...more };
}

async function timer(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => {});
}
