// Run span: the `workflow {name}` span of a run in one worker's hands, in the trace that the run began in, and the
// recording at the run's end.
import {
  type Context,
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  trace,
} from "@opentelemetry/api";
import type { z } from "zod";
import { bodiesOf, type EachIr, type NodeIr } from "../ir/ir.ts";
import { redact } from "../procedures/redaction.ts";
import { activeRecorder } from "../recorder.ts";
import {
  ATTR_ORIGIN_ID,
  ATTR_ORIGIN_KIND,
  ATTR_ORIGIN_NAME,
  ATTR_WORKFLOW_NAME,
  ATTR_WORKFLOW_RESUMED,
  ATTR_WORKFLOW_RUN_ID,
  ATTR_WORKFLOW_VERSION,
  spanNames,
} from "../semantic-conventions.ts";
import { failSpan, startSpan, withSpan } from "../spans.ts";
import type { NodeCode, Scope } from "../workflows/definition.ts";
import type { Outcome } from "./drive-run.ts";
import type { NewRun, StoredRun } from "./run-store.ts";

/** A span that has begun; one that is never closed is never exported, which is how one is dropped. */
export interface RunSpan {
  readonly span: Span;
  readonly parent: Context;
  /** Null when there is no tracing. */
  readonly traceparent: string | null;
}

/** Of a run that was begun before. `resumed`: it had been driven already. */
export interface Earlier {
  readonly traceparent: string | null;
  readonly resumed: boolean;
}

/** Below the active span, or below `traceparent` for a run that was begun before. */
export function openRunSpan(run: Pick<NewRun, "id" | "workflow" | "version" | "origin">, earlier?: Earlier): RunSpan {
  const before = earlier?.traceparent ? remoteContext(earlier.traceparent) : undefined;
  const parent = earlier ? (before ? trace.setSpanContext(ROOT_CONTEXT, before) : ROOT_CONTEXT) : context.active();
  const span = startSpan(
    spanNames.workflow(run.workflow),
    {
      [ATTR_WORKFLOW_NAME]: run.workflow,
      [ATTR_WORKFLOW_VERSION]: run.version,
      [ATTR_WORKFLOW_RUN_ID]: run.id,
      [ATTR_ORIGIN_KIND]: run.origin.kind,
      ...(run.origin.name === undefined ? {} : { [ATTR_ORIGIN_NAME]: run.origin.name }),
      ...(run.origin.id === undefined ? {} : { [ATTR_ORIGIN_ID]: run.origin.id }),
      ...(earlier?.resumed ? { [ATTR_WORKFLOW_RESUMED]: true } : {}),
    },
    parent,
  );
  if (before && earlier?.resumed && span.isRecording()) span.addLink({ context: before });
  const own = span.spanContext();
  if (!isSpanContextValid(own)) return { span, parent, traceparent: null };
  const flags = own.traceFlags.toString(16).padStart(2, "0");
  return { span, parent, traceparent: `00-${own.traceId}-${own.spanId}-${flags}` };
}

/** Drives the run within its span. An end of the run is recorded; a run that goes on elsewhere is not. */
export async function inRunSpan(
  { span, parent }: RunSpan,
  run: StoredRun,
  parts: { input: z.ZodType | undefined; code: ReadonlyMap<string, NodeCode> },
  fn: () => Promise<Outcome>,
): Promise<Outcome> {
  const within = async () => {
    const outcome = await fn();
    if (activeRecorder()) record(run, parts, outcome);
    return outcome;
  };
  try {
    const outcome = await (span.isRecording() ? withSpan(span, within, parent) : within());
    if ("error" in outcome) failSpan(span, outcome.error);
    return outcome;
  } catch (error) {
    failSpan(span, error);
    throw error;
  } finally {
    span.end();
  }
}

function record(
  run: StoredRun,
  { input, code }: { input: z.ZodType | undefined; code: ReadonlyMap<string, NodeCode> },
  outcome: Outcome,
): void {
  const ended = outcome.state === "done" || "error" in outcome;
  // What is sensitive is known by the contract: without it nothing is recorded.
  if (!ended || !input) return;
  activeRecorder()?.run({
    workflow: run.workflow,
    runId: run.id,
    input: redact(input, run.input),
    output: outcome.state === "done" ? redactNodes(code, run.ir.nodes, redact(input, outcome.output)) : null,
    failed: outcome.state !== "done",
  });
}

/** Every key is redacted by the contract that wrote it; a `run` node's keys have none. */
function redactNodes(code: ReadonlyMap<string, NodeCode>, nodes: readonly NodeIr[], scope: unknown): unknown {
  let clean = scope;
  const under = (key: string, clear: (value: unknown) => unknown) => {
    if (typeof clean === "object" && clean !== null && key in clean) {
      clean = { ...clean, [key]: clear((clean as Scope)[key]) };
    }
  };
  for (const node of nodes) {
    const own = code.get(node.id);
    if (node.op === "step" && own?.procedure) {
      const contract = own.procedure.output;
      if (node.as === undefined) clean = redact(contract, clean);
      else under(node.as, (value) => redact(contract, value));
    } else if (node.op === "waitFor" && own?.event) {
      const { payload } = own.event;
      under(node.id, (value) => redact(payload, value));
    } else if (node.op === "each") {
      under(node.id, (list) => (Array.isArray(list) ? list.map((item) => redactItem(code, node, item)) : list));
    } else if (node.op === "call" && own?.workflow) {
      const { input, code: inner, ir } = own.workflow;
      under(node.as ?? node.workflow, (value) => redactNodes(inner, ir.nodes, redact(input, value)));
    } else for (const body of bodiesOf(node)) clean = redactNodes(code, body, clean);
  }
  return clean;
}

function redactItem(code: ReadonlyMap<string, NodeCode>, node: EachIr, item: unknown): unknown {
  if (node.onError !== "collect") return redactNodes(code, node.nodes, item);
  const { value } = item as { value?: unknown };
  return value === undefined ? item : { ...(item as object), value: redactNodes(code, node.nodes, value) };
}

function remoteContext(traceparent: string): SpanContext | undefined {
  const [, traceId, spanId, flags] = traceparent.split("-");
  if (!traceId || !spanId || !flags) return undefined;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}
