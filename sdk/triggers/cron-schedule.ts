// Schedule of a cron: the times that a line of five or six fields names in a time zone.
//
// Where clocks go forward, a time that does not exist fires when the gap ends; where they go back, a time that comes
// twice fires at the first (but `*/10` and the like go on by the real minute). Read by croner; checked in its test.
import { Cron } from "croner";
import { TsdevError } from "../errors.ts";

export interface Schedule {
  /** The first time after this one; undefined when there is none any more. */
  next(after: Date): Date | undefined;
  /** The times after `after` up to and including `until`, in order; of more than `limit` the latest. */
  between(after: Date, until: Date, limit: number): { times: Date[]; more: boolean };
}

const nickname = /^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$/i;

/** Throws `invalid_config` with what is wrong in the line or the name of the zone, or when no day ever fits. */
export function parseSchedule(schedule: string, timeZone: string): Schedule {
  const line = schedule.trim().replace(/^@midnight$/i, "@daily");
  const fields = line.split(/\s+/).length;
  if (!nickname.test(line) && (fields < 5 || fields > 6)) throw wrong(schedule, "it has neither five nor six fields");
  checkZone(timeZone);
  let cron: Cron;
  try {
    cron = new Cron(line, { timezone: timeZone, paused: true });
  } catch (cause) {
    throw wrong(schedule, (cause as Error).message.replace(/^CronPattern: /, ""), cause);
  }
  // From a fixed day: what a line allows does not depend on when it is read.
  if (cron.nextRun(new Date("2000-01-01T00:00:00Z")) === null) throw wrong(schedule, "no day ever fits it");
  return {
    next: (after) => cron.nextRun(after) ?? undefined,
    between(after, until, limit) {
      const times: Date[] = [];
      for (let at = cron.nextRun(after); at !== null && at <= until; at = cron.nextRun(at)) {
        times.push(at);
        if (times.length > limit) return { times: latest(cron, until, limit), more: true };
      }
      return { times, more: false };
    },
  };
}

/** From the end, because in a long pause there may be millions. */
function latest(cron: Cron, until: Date, limit: number): Date[] {
  // What croner calls previous is strictly earlier, to the second.
  const after = new Date(Math.floor(until.getTime() / 1_000) * 1_000 + 1_000);
  return cron.previousRuns(limit, after).reverse();
}

function checkZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch (cause) {
    throw new TsdevError("invalid_config", {
      message: `there is no time zone "${timeZone}"`,
      fix: "use a name of the IANA database, such as Europe/Berlin or UTC",
      path: "timeZone",
      cause,
    });
  }
}

function wrong(schedule: string, why: string, cause?: unknown): TsdevError {
  return new TsdevError("invalid_config", {
    message: `the schedule "${schedule}" cannot be read: ${why}`,
    fix: 'write minute, hour, day, month and weekday, such as "0 9 * * MON-FRI"; a sixth field in front is the second',
    path: "schedule",
    cause,
  });
}
