// Insist: does what is asked of an engine whose database comes and goes until it is done or refused.
import { setTimeout as sleep } from "node:timers/promises";
import { TsdevError } from "../../sdk/errors.ts";
import { isTransient } from "../../sdk/policies/transient.ts";

/** Again and again while the database is away. */
export async function insist<T>(act: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await act();
    } catch (error) {
      if (!isAway(error) || tries > 200) throw error;
      await sleep(100);
    }
  }
}

export function isAway(error: unknown): boolean {
  return (
    isTransient(error) ||
    (error instanceof Error && /^(Connection terminated|Client has encountered)/.test(error.message))
  );
}

/** What an act from outside may be told: it came too late, or too early. */
export function expectRefusal(error: unknown): void {
  if (TsdevError.is(error) && (error.code === "conflict" || error.code === "not_found")) return;
  throw error;
}
