// Check safety: retries of what is not safe to repeat, procedures that disturb each other, and limits that never come.
import type { AnyProcedure } from "../../procedures/procedure.ts";
import type { Problems } from "./problems.ts";

export function checkRetry(
  problems: Problems,
  procedure: AnyProcedure,
  { retry }: { retry?: { maxAttempts: number } | undefined },
  path: string,
): void {
  if (!retry || retry.maxAttempts < 2 || procedure.idempotent !== false) return;
  problems.add(
    `${path}.retry`,
    "unsafe_retry",
    `"${procedure.name}" says idempotent: false, so a second attempt may do it twice`,
    "remove the retry, or make the procedure safe to repeat by ctx.idempotencyKey",
  );
}

export function checkHazards(problems: Problems, procedures: readonly AnyProcedure[], path: string): void {
  for (const [index, one] of procedures.entries()) {
    for (const other of procedures.slice(index + 1)) {
      const shared =
        common(one.effects?.writes, other.effects?.writes) ??
        common(one.effects?.writes, other.effects?.reads) ??
        common(one.effects?.reads, other.effects?.writes);
      if (shared === undefined) continue;
      const message = `"${one.name}" and "${other.name}" both touch "${shared}", and at least one writes it`;
      problems.add(path, "parallel_hazard", message, "let one follow the other as steps");
    }
  }
}

/** Of a wait. */
export function checkLimit(
  problems: Problems,
  node: { timeoutMs?: number | undefined; onTimeout?: string | undefined },
  path: string,
): void {
  if (node.onTimeout === undefined || node.timeoutMs !== undefined) return;
  problems.add(path, "invalid_definition", "onTimeout without timeoutMs never happens", "give timeoutMs");
}

function common(a: readonly string[] = [], b: readonly string[] = []): string | undefined {
  return a.find((one) => b.includes(one));
}
