// Run span: the `workflow {name}` span of a run, in the trace that the run began in, and the recording at its end.
import { type Context, context, isSpanContextValid, ROOT_CONTEXT, type Span, trace } from "@opentelemetry/api";
import { TsdevError } from "../errors.ts";
import { redact } from "../procedures/redaction.ts";
import { activeRecorder } from "../recorder.ts";
import {
  ATTR_WORKFLOW_NAME,
  ATTR_WORKFLOW_RESUMED,
  ATTR_WORKFLOW_RUN_ID,
  ATTR_WORKFLOW_VERSION,
  spanNames,
} from "../semantic-conventions.ts";
import { failSpan, startSpan, withSpan } from "../spans.ts";
import type { AnyWorkflow, Scope } from "../workflows/workflow.ts";
import type { StoredRun } from "./run-store.ts";

/** A span that has begun; one that is never closed is never exported, which is how one is dropped. */
export interface RunSpan {
  readonly span: Span;
  readonly parent: Context;
  /** Null when there is no tracing. */
  readonly traceparent: string | null;
}

/** Below the active span, or below `traceparent` for a run that another worker had begun. */
export function openRunSpan(
  workflow: { name: string; version: string },
  runId: string,
  traceparent?: string | null,
): RunSpan {
  const resumed = traceparent !== undefined;
  const parent = resumed ? remoteContext(traceparent) : context.active();
  const span = startSpan(
    spanNames.workflow(workflow.name),
    {
      [ATTR_WORKFLOW_NAME]: workflow.name,
      [ATTR_WORKFLOW_VERSION]: workflow.version,
      [ATTR_WORKFLOW_RUN_ID]: runId,
      ...(resumed ? { [ATTR_WORKFLOW_RESUMED]: true } : {}),
    },
    parent,
  );
  const { traceId, spanId, traceFlags } = span.spanContext();
  const valid = isSpanContextValid(span.spanContext());
  const flags = traceFlags.toString(16).padStart(2, "0");
  return { span, parent, traceparent: valid ? `00-${traceId}-${spanId}-${flags}` : null };
}

/** Runs the run within its span. An end of the run is recorded; a run that goes on elsewhere is not. */
export async function inRunSpan(
  { span, parent }: RunSpan,
  workflow: AnyWorkflow,
  run: StoredRun,
  fn: () => Promise<Scope>,
): Promise<Scope> {
  try {
    return await withSpan(
      span,
      async () => {
        try {
          const output = await fn();
          record(workflow, run, output);
          return output;
        } catch (error) {
          if (TsdevError.is(error)) record(workflow, run, undefined);
          throw error;
        }
      },
      parent,
    );
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** `output` is undefined when the run failed. */
function record(workflow: AnyWorkflow, run: StoredRun, output: Scope | undefined): void {
  activeRecorder()?.run({
    workflow: workflow.name,
    runId: run.id,
    input: redact(workflow.input, run.input),
    output: output === undefined ? null : redactScope(workflow, run, output),
    failed: output === undefined,
  });
}

/** Every key is redacted by the contract that wrote it; a `run` node's keys have none. */
function redactScope(workflow: AnyWorkflow, run: StoredRun, scope: Scope): unknown {
  let clean: unknown = redact(workflow.input, scope);
  for (const node of run.ir.nodes) {
    for (const leaf of node.op === "parallel" ? node.branches : [node]) {
      const contract = workflow.code.get(leaf.id)?.procedure?.output;
      if (!contract) continue;
      clean =
        leaf.as === undefined
          ? redact(contract, clean)
          : { ...(clean as Scope), [leaf.as]: redact(contract, (clean as Scope)[leaf.as]) };
    }
  }
  return clean;
}

function remoteContext(traceparent: string | null): Context {
  const [, traceId, spanId, flags] = traceparent?.split("-") ?? [];
  if (!traceId || !spanId || !flags) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
  });
}
