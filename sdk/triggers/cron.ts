// Cron: a trigger that starts a run of a workflow at the times of a schedule.
import { TsdevError } from "../errors.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { WorkflowInput } from "../workflows/workflow.ts";
import { parseSchedule } from "./cron-schedule.ts";
import { declareTrigger } from "./declare.ts";
import type { CronTrigger, TriggerParts } from "./trigger.ts";

const missedChoices = ["skip", "once", "all"] as const;

export interface CronParts<W extends AnyWorkflow> extends TriggerParts<W> {
  /**
   * Minute, hour, day of the month, month, weekday; of six fields the first is the second. Also `@hourly`, `@daily`,
   * `@weekly`, `@monthly`, `@yearly`.
   */
  schedule: string;
  /** A name of the IANA database. Default: UTC. */
  timeZone?: string;
  /**
   * What becomes of times that passed while no scheduler ran: none of them, the latest one, or each (the latest 100).
   * Default: `skip`.
   */
  missed?: (typeof missedChoices)[number];
  /** The run's input, from the time that was scheduled (not the time at which it came to be). */
  input: (at: Date) => WorkflowInput<NoInfer<W>>;
}

/**
 * Starts a run at each time of the schedule: one run for each, with the id `cron:{name}:{time in UTC}`, however many
 * instances schedule it. Throws `invalid_config` for a schedule that cannot be read, or a `missed` that is none.
 *
 * @example
 * export const nightlyReport = cron({
 *   name: "nightly-report",
 *   schedule: "0 3 * * *",
 *   timeZone: "Europe/Berlin",
 *   missed: "once",
 *   workflow: report,
 *   input: (at) => ({ day: at.toISOString().slice(0, 10) }),
 * });
 */
export function cron<W extends AnyWorkflow>(parts: CronParts<W>): CronTrigger {
  const { schedule, timeZone = "UTC", missed = "skip" } = parts;
  const common = declareTrigger(cron, parts);
  parseSchedule(schedule, timeZone);
  if (!missedChoices.includes(missed)) {
    throw new TsdevError("invalid_config", {
      message: `cron "${parts.name}": missed is ${JSON.stringify(missed)}`,
      fix: `give one of ${missedChoices.join(", ")}`,
      path: "missed",
    });
  }
  return Object.freeze({ ...common, on: "cron" as const, schedule, timeZone, missed, input: parts.input });
}
