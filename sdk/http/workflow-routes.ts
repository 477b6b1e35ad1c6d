// Workflow routes: runs are started, looked at, followed and controlled.
import { randomUUID } from "node:crypto";
import type { Context, Hono } from "hono";
import { z } from "zod";
import { type Engine, endStates, type RunFilter, type RunState, type RunStatus } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import type { Log } from "../log.ts";
import { checkContract } from "../procedures/contract.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import type { AppState } from "./app-state.ts";
import { decodeObject, decoderOf } from "./decode.ts";
import { hidePartsOf } from "./hidden-parts.ts";
import { toJson } from "./json.ts";
import { toResponse } from "./problem.ts";
import { readJson } from "./read-body.ts";
import { runEventsAnswer } from "./run-events.ts";
import { noRun, type RunGate } from "./run-gate.ts";
import { withToldError } from "./told-error.ts";

export interface WorkflowRouteParts {
  workflows: ReadonlyMap<string, AnyWorkflow>;
  state: AppState;
  gate: RunGate;
  maxBytes: number;
  log: Log;
}

export const states = ["queued", "running", "waiting", "paused", "done", "failed", "canceled"] as const;

/** Of triggers alone: a run that somebody begins under such an id would stand in the place of the one that is to come. */
const ofTriggers = /^(?:cron|webhook|queue|event):/;
const runIdContract = z
  .string()
  .regex(/^[\x21-\x7e]{1,200}$/, "1 to 200 visible ASCII characters")
  .refine((id) => !ofTriggers.test(id), "ids that begin with cron:, webhook:, queue: or event: are those of triggers");
/** Postgres keeps no text with this character, so nothing has such a name. As a pattern, so that OpenAPI says it. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: in this form tools in other languages read the pattern
const noNul = z.string().regex(/^[^\u0000]*$/, "the character U+0000 cannot be kept");

/** The bodies and queries of these routes; OpenAPI is made of the same. */
export const runContracts = {
  start: z.object({ runId: runIdContract.optional(), wait: z.boolean().optional() }),
  list: z.object({
    state: z.enum(states).optional(),
    limit: z.int().min(1).max(500).optional(),
    before: noNul.optional(),
  }),
  cancel: z.object({ reason: z.string().max(1_000).optional() }),
  retry: z.object({ from: z.string().optional() }),
  rerun: z.object({ runId: runIdContract.optional() }),
  approval: z.object({
    approved: z.boolean(),
    comment: noNul
      .max(10_000)
      .refine((text) => text.isWellFormed(), "half a surrogate pair")
      .optional(),
  }),
};

const json = { "content-type": "application/json" };

export function mountWorkflows(app: Hono, parts: WorkflowRouteParts): void {
  const { state, gate, maxBytes, log } = parts;
  const workflowOf = (c: Context) => find(parts.workflows, c.req.param("name") ?? "", "workflow");
  const locationOf = (workflow: AnyWorkflow, runId: string) =>
    `/workflows/${encodeURIComponent(workflow.name)}/runs/${encodeURIComponent(runId)}`;

  const hiders = new Map([...parts.workflows].map(([name, { input }]) => [name, hidePartsOf(input)]));
  app.post("/workflows/:name/runs", async (c) => {
    const workflow = workflowOf(c);
    hiders.get(workflow.name)?.(c);
    const principal = await gate.begin(c, `starting a run of workflow "${workflow.name}"`);
    const asked = await queryOf(c, runContracts.start);
    const key = c.req.header("idempotency-key");
    const runId =
      asked.runId ??
      (key === undefined ? randomUUID() : await checkContract(runIdContract, key, "the Idempotency-Key"));
    const engine = await state.engine();
    const body = await bodyIn(c, maxBytes);
    const decode = decoderOf(workflow.input, "json");
    const input = (decode ? decode(body) : body) as never;
    const options = { runId, origin: { kind: "http" as const }, ...(principal ? { principal } : {}) };
    const headers = { ...json, location: locationOf(workflow, runId) };
    if (asked.wait === false) {
      await engine.start(workflow, input, options);
      const stands = await engine.run(runId);
      return c.body(JSON.stringify({ runId, state: stands?.state ?? "queued" }), 202, headers);
    }
    try {
      // Not bound to the request: a client that hangs up does not cancel a run, it can ask for it again.
      const output = await engine.execute(workflow, input, options);
      return c.body(toJson({ runId, state: "done", output }), 200, headers);
    } catch (error) {
      if (!TsdevError.is(error)) log.error("a run failed", { runId, workflow: workflow.name, error });
      return toResponse(error, { runId });
    }
  });

  app.get("/workflows/:name/runs", async (c) => {
    const workflow = workflowOf(c);
    const seen = await gate.list(c, `looking at runs of workflow "${workflow.name}"`);
    const asked = await queryOf(c, runContracts.list);
    const filter: RunFilter = { ...seen, workflow: workflow.name, limit: asked.limit ?? 50 };
    if (asked.state) filter.state = asked.state as RunState;
    if (asked.before !== undefined) filter.before = asked.before;
    const found = await (await state.engine()).runs(filter);
    return c.body(toJson({ runs: found.map(withToldError) }), 200, json);
  });

  const runOf = async (c: Context): Promise<{ engine: Engine; workflow: AnyWorkflow; run: RunStatus }> => {
    const workflow = workflowOf(c);
    const id = c.req.param("id") ?? "";
    const engine = await state.engine();
    const run = id.includes("\0") ? undefined : await engine.run(id);
    if (run?.workflow === workflow.name) return { engine, workflow, run };
    throw noRun(workflow.name, id);
  };

  app.get("/workflows/:name/runs/:id", async (c) => {
    const { run } = await gate.look(c, "looking at a run", () => runOf(c));
    return c.body(toJson(withToldError(run)), 200, json);
  });

  app.get("/workflows/:name/runs/:id/events", async (c) => {
    const { engine, run } = await gate.look(c, "following a run", () => runOf(c));
    const ended = endStates.has(run.state);
    return runEventsAnswer(c, engine, run.runId, { ended, stopping: state.stopping.signal });
  });

  const controlled = (c: Context, what: string) => gate.control(c, what, () => runOf(c));
  const bodyOf = async <S extends z.ZodType>(c: Context, contract: S): Promise<z.output<S>> =>
    checkContract(contract, await bodyIn(c, maxBytes), "the body");

  app.post("/workflows/:name/runs/:id/cancel", async (c) => {
    const { engine, run, principal } = await controlled(c, "canceling a run");
    const { reason } = await bodyOf(c, runContracts.cancel);
    const by = principal ? `canceled by ${principal.id}` : "canceled over HTTP";
    const canceled = await engine.cancel(run.runId, { reason: reason ?? by });
    return c.json({ runId: run.runId, canceled }, 202);
  });

  app.post("/workflows/:name/runs/:id/pause", async (c) => {
    const { engine, run } = await controlled(c, "pausing a run");
    await engine.pause(run.runId);
    return c.json({ runId: run.runId }, 202);
  });

  app.post("/workflows/:name/runs/:id/resume", async (c) => {
    const { engine, run } = await controlled(c, "resuming a run");
    await engine.resume(run.runId);
    return c.json({ runId: run.runId }, 202);
  });

  app.post("/workflows/:name/runs/:id/retry", async (c) => {
    const { engine, run } = await controlled(c, "retrying a run");
    const { from } = await bodyOf(c, runContracts.retry);
    await engine.retry(run.runId, from === undefined ? {} : { from });
    return c.json({ runId: run.runId }, 202);
  });

  app.post("/workflows/:name/runs/:id/rerun", async (c) => {
    const { engine, workflow, run, principal } = await controlled(c, "running a run again");
    const asked = await bodyOf(c, runContracts.rerun);
    // Whoever asks acts for himself, and never as the one who began the first run.
    const { runId } = await engine.rerun(run.runId, {
      ...(asked.runId === undefined ? {} : { runId: asked.runId }),
      ...(principal ? { principal } : {}),
    });
    return c.json({ runId }, 202, { location: locationOf(workflow, runId) });
  });

  app.post("/workflows/:name/runs/:id/approvals/:node", async (c) => {
    const principal = await gate.answer(c, "answering an approval");
    const { engine, run } = await runOf(c);
    const { approved, comment } = await bodyOf(c, runContracts.approval);
    const by = principal?.id ?? "anonymous";
    await engine.approve(run.runId, c.req.param("node"), {
      approved,
      by,
      ...(comment === undefined ? {} : { comment }),
    });
    return c.json({ runId: run.runId, approved, by }, 202);
  });
}

/** Mounts POST /events/:name. The body is the payload; `?id=` or Idempotency-Key names the event, which then counts once. */
export function mountEvents(
  app: Hono,
  events: ReadonlyMap<string, AnyEvent>,
  { state, gate, maxBytes }: Pick<WorkflowRouteParts, "state" | "gate" | "maxBytes">,
): void {
  const hiders = new Map([...events].map(([name, { payload }]) => [name, hidePartsOf(payload)]));
  app.post("/events/:name", async (c) => {
    hiders.get(c.req.param("name"))?.(c);
    await gate.answer(c, "publishing an event");
    const event = find(events, c.req.param("name"), "event");
    const body = await bodyIn(c, maxBytes);
    const decode = decoderOf(event.payload, "json");
    const named = c.req.query("id") ?? c.req.header("idempotency-key");
    const id = named === undefined ? undefined : await checkContract(noNul, named, "the id of the event");
    const engine = await state.engine();
    return c.json(await engine.publish(event, decode ? decode(body) : body, id === undefined ? {} : { id }), 202);
  });
}

/** None is an empty object. */
async function bodyIn(c: Context, maxBytes: number): Promise<unknown> {
  const body = await readJson(c, maxBytes);
  return body === undefined ? {} : body;
}

function queryOf<S extends z.ZodType>(c: Context, contract: S): Promise<z.output<S>> {
  const texts = Object.entries(c.req.queries()).map(([key, all]) => [key, all.length === 1 ? all[0] : all]);
  return checkContract(
    contract,
    decodeObject(contract, Object.fromEntries(texts), () => "text"),
    "the query",
  );
}

function find<T>(items: ReadonlyMap<string, T>, name: string, what: string): T {
  const item = items.get(name);
  if (item) return item;
  const known = [...items.keys()].join(", ") || "none";
  throw new TsdevError("not_found", { message: `no ${what} "${name}"`, fix: `known: ${known}` });
}
