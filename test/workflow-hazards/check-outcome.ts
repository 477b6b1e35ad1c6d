// Checks a run's state and output against what the model makes of its specification and of what came from outside.
import { isDeepStrictEqual } from "node:util";
import { decode } from "../../sdk/engine/postgres/codec.ts";
import type { Forgetting } from "./forgetting.ts";
import { expect, type Facts } from "./model.ts";
import { deathsInARow, type Run, type Say } from "./recorded-run.ts";
import type { WorkflowSpec } from "./specification.ts";

function factsOf(run: Run, forgettings: readonly Forgetting[], runs: ReadonlyMap<string, Run>): Facts {
  const interrupted = new Set<string>();
  const received = new Map<string, unknown>();
  const approvals = new Map<string, { approved: boolean }>();
  const children = new Map<string, { state: string; output: unknown; code: string }>();
  for (const { type, node, data, output, seq } of run.journal) {
    const path = node!;
    if (type === "run.retried") {
      const { forgets } = forgettings.find((one) => one.seq === seq)!;
      for (const facts of [interrupted, received, approvals, children]) {
        for (const one of facts.keys()) if (forgets(one)) facts.delete(one);
      }
    } else if (type === "step.failed") {
      if (data.error.code === "interrupted") interrupted.add(path);
      if (data.error.code === "timeout") received.set(path, undefined);
    } else if (type === "event.received") received.set(path, decode(output!));
    else if (type === "decided" && data.taken === "timeout") received.set(path, undefined);
    else if (type === "approval.answered") approvals.set(path, decode(output!) as { approved: boolean });
    else if (type === "child.started") {
      const child = runs.get(data.childRunId);
      if (child) children.set(path, { state: child.state, output: child.output, code: "step_failed" });
    }
  }
  return { interrupted, received, approvals, children };
}

export function checkOutcome(
  run: Run,
  spec: WorkflowSpec,
  forgettings: readonly Forgetting[],
  runs: ReadonlyMap<string, Run>,
  say: Say,
): undefined {
  if (run.state === "canceled") {
    if (run.error?.code !== "canceled") say(`it is canceled with the error ${run.error?.code}`);
    return undefined;
  }
  if (run.state !== "done" && run.state !== "failed") return say(`it has not ended: it is ${run.state}`);
  if (run.state === "failed" && run.error?.code === "run_failed" && deathsInARow(run) > 5) return;
  let expected: ReturnType<typeof expect>;
  try {
    expected = expect(spec, run.input, factsOf(run, forgettings, runs));
  } catch (error) {
    // A list whose item failed may leave what comes after it unknown.
    return say(`the model cannot follow it: ${(error as Error).message}`);
  }
  if (expected.state !== run.state) {
    return say(
      `it is ${run.state} (${run.error?.message ?? ""}), the model says ${expected.state}${"why" in expected ? ` (${expected.why})` : ""}`,
    );
  }
  if (expected.state === "done" && !isDeepStrictEqual(withoutMessages(run.output), withoutMessages(expected.output))) {
    say(`its output is ${JSON.stringify(run.output)}, the model says ${JSON.stringify(expected.output)}`);
  }
}

/** Of collected errors only the code is modelled; dates and undefined as JSON has them. */
function withoutMessages(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (_key, one) =>
    one?.ok === false ? { ok: false, code: one.error.code } : one,
  );
}
