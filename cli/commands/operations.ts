// operations: what an environment's services were asked, how often, how slow and with how many errors.
import { colored, print, table } from "../output.ts";
import { type EnvironmentFlags, place } from "./operate.ts";

/** Most operations that are looked at; those that took most time of all are shown first. */
const limit = 500;

export async function operations(flags: EnvironmentFlags & { since: string }): Promise<void> {
  const { client, where } = await place(flags);
  const output = await client.call("operations.list", { ...where, since: flags.since, limit });
  // The middle of the durations stands for their average, which one slow request would move.
  const busy = (one: (typeof output.operations)[number]) => one.requests * one.p50Ms;
  output.operations.sort((a, b) => busy(b) - busy(a));
  print(output, flags, ({ operations: list }) =>
    list.length === 0
      ? "no operation in this time"
      : table(
          ["service", "operation", "requests", "errors", "p50 ms", "p95 ms", "p99 ms"],
          list.map((one) => [
            one.service,
            one.operation,
            String(Math.round(one.requests)),
            one.errors > 0 ? colored("red", String(Math.round(one.errors))) : "0",
            ...[one.p50Ms, one.p95Ms, one.p99Ms].map((ms) => ms.toFixed(1)),
          ]),
        ),
  );
}
