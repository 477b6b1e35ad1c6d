// Checks the options of a policy when a workflow is declared, so that a wrong one fails at start and not in a run.
import { z } from "zod";
import { TsdevError } from "../errors.ts";
import type { RetryIr, TimeoutIr } from "../ir/ir.ts";

/** What a retry is where its options say nothing, milliseconds. */
export const retryDefaults = { backoff: "exponential", initialMs: 200, maxMs: 30_000 } as const;

const Retry = z.strictObject({
  maxAttempts: z.int().min(1).max(100),
  backoff: z.enum(["exponential", "fixed"]).optional(),
  initialMs: z.number().min(0).optional(),
  maxMs: z.number().min(0).optional(),
});
const Timeout = z.strictObject({ ms: z.number().positive().max(2_147_483_647) });

export function checkRetry(options: RetryIr, workflow: string, node: string): RetryIr {
  return check(Retry, options, "withRetry", workflow, node);
}

export function checkTimeout(options: TimeoutIr, workflow: string, node: string): TimeoutIr {
  return check(Timeout, options, "withTimeout", workflow, node);
}

function check<T>(schema: z.ZodType<T>, options: T, modifier: string, workflow: string, node: string): T {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new TsdevError("invalid_config", {
    message:
      `workflow "${workflow}", ${modifier} of "${node}": ${issue?.path.join(".") ?? ""} ${issue?.message ?? ""}`.trim(),
    fix: `correct the options of ${modifier}`,
  });
}
