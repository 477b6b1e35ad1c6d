// Workload: the workflows of a specification, whose steps leave their effects with whoever is given.
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type ProcedureContext, procedure } from "../../sdk/procedures/procedure.ts";
import { createRegistry, type Declaration, type Registry } from "../../sdk/registry.ts";
import { bullmq } from "../../sdk/triggers/bullmq.ts";
import { cron } from "../../sdk/triggers/cron.ts";
import { type Queue, queue } from "../../sdk/triggers/queue.ts";
import type { AnyWorkflow } from "../../sdk/workflows/definition.ts";
import { event } from "../../sdk/workflows/event.ts";
import { workflow } from "../../sdk/workflows/workflow.ts";
import {
  caseOf,
  draw,
  failuresOf,
  isTaken,
  itemsOf,
  maxRounds,
  type NodeSpec,
  roundsOf,
  type Specification,
  type StepSpec,
  stepValue,
  type WorkflowSpec,
  waitMs,
} from "./specification.ts";

export const Input = z.object({ id: z.string(), seed: z.number(), tenant: z.string() });
export type Input = z.output<typeof Input>;

export const told = event({
  name: "told",
  payload: z.object({ key: z.string(), n: z.number() }),
  key: ({ key }) => key,
});

export interface EffectRow {
  readonly kind: "do" | "undo";
  readonly context: ProcedureContext;
}
export type LeaveEffect = (effect: EffectRow) => Promise<void>;

export const bullQueueName = "hazards";
export const ownQueueName = "own";
/** How long a job stays with a worker that died, milliseconds. */
const lockMs = 1_000;
/** Every second one: schedulers race for it all the time. */
export const tickSeconds = 2;

export interface Workload {
  readonly workflows: ReadonlyMap<string, AnyWorkflow>;
  readonly own: Queue;
  /** Without the cron, runs come to an end. */
  registry(options: { cron: boolean }): Registry;
}

class Refused extends Error {
  readonly retryable: boolean;
  constructor(retryable: boolean) {
    super(retryable ? "not now" : "never");
    this.retryable = retryable;
  }
}

export function workloadOf(specification: Specification, leave: LeaveEffect, redisUrl: string | undefined): Workload {
  const workflows = new Map<string, AnyWorkflow>();
  for (const one of [...specification.children, ...specification.workflows]) {
    workflows.set(one.name, build(one, workflows, leave));
  }
  const target = workflows.get(specification.workflows[0]!.name)! as never;
  const parts = { message: Input, workflow: target, input: (message: Input) => message as never };
  const own = queue({ ...parts, name: ownQueueName });
  const declarations: Declaration[] = [...workflows.values(), own];
  if (redisUrl) {
    const connection = () => ({ url: redisUrl, maxRetriesPerRequest: null });
    declarations.push(queue({ ...parts, name: "bull", from: bullmq({ queue: bullQueueName, connection, lockMs }) }));
  }
  const tick = cron({
    name: "tick",
    schedule: `*/${tickSeconds} * * * * *`,
    missed: "all",
    workflow: workflows.get(specification.children[0]!.name)! as never,
    input: (at) => ({ id: `tick-${at.toISOString()}`, seed: Math.floor(at.getTime() / 1_000), tenant: "t0" }) as never,
  });
  return {
    workflows,
    own: own as unknown as Queue,
    registry: ({ cron: ticks }) => createRegistry(ticks ? [...declarations, tick] : declarations),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: workflows that are drawn have types that no compiler can know
type Any = any;

function build(spec: WorkflowSpec, children: ReadonlyMap<string, AnyWorkflow>, leave: LeaveEffect): AnyWorkflow {
  const concurrency = spec.limit ? { concurrency: { limit: spec.limit, key: ({ tenant }: Any) => tenant } } : {};
  const chain: Any = workflow(spec.name, concurrency).input(Input);
  return addNodes(chain, spec.nodes);

  function addNodes(start: Any, nodes: readonly NodeSpec[]): Any {
    return nodes.reduce((at: Any, node) => addNode(at, node), start);
  }

  function addNode(at: Any, node: NodeSpec): Any {
    switch (node.op) {
      case "step":
        return addStep(at, node);
      case "parallel":
        return at.parallel(node.branches.map(stepProcedure));
      case "when":
        return at.when(
          node.id,
          (scope: Any) => isTaken(node.id, scope),
          (yes: Any) => addNodes(yes, node.yes),
          (no: Any) => addNodes(no, node.no),
        );
      case "match": {
        const { a, b, c } = node.cases;
        const cases = { a: (one: Any) => addNodes(one, a), b: (one: Any) => addNodes(one, b) };
        return at.match(
          node.id,
          (scope: Any) => caseOf(node.id, scope),
          cases,
          (one: Any) => addNodes(one, c),
        );
      }
      case "each": {
        const options = { concurrency: node.concurrency, ...(node.collect ? { onError: "collect" } : {}) };
        return at.each(
          node.id,
          (scope: Any) => itemsOf(node.id, scope),
          (item: Any) => addNodes(item, node.nodes),
          options,
        );
      }
      case "repeat":
        return at.repeat(node.id, (round: Any) => addNodes(round, node.nodes), {
          until: (scope: Any) => scope.round + 1 >= roundsOf(node.id, scope),
          maxTimes: maxRounds,
          ...(node.everyMs ? { everyMs: node.everyMs } : {}),
        });
      case "sleep":
        return at.sleep(node.id, { ms: node.ms });
      case "waitFor": {
        const limit = node.onTimeout ? { timeoutMs: waitMs } : {};
        const then = node.onTimeout === "continue" ? { onTimeout: "continue" } : {};
        return at.waitFor(node.id, told, { key: ({ id }: Any) => `${id}:${node.id}`, ...limit, ...then });
      }
      case "approve": {
        const limit = node.timesOut ? { timeoutMs: waitMs, onTimeout: "reject" } : {};
        return at.approve(node.id, { ...(node.onReject ? { onReject: node.onReject } : {}), ...limit });
      }
      case "call":
        return at.call(children.get(node.child)!, {
          as: node.id,
          with: ({ id, seed, tenant }: Input) => ({ id: `${id}/${node.id}`, seed: childSeed(seed, node.id), tenant }),
        });
    }
  }

  function addStep(at: Any, node: StepSpec): Any {
    const { reads } = node;
    let tail = at.step(stepProcedure(node), {
      with: (scope: Any) => ({ seed: scope.seed, from: reads ? scope[reads] : 0 }),
    });
    if (node.retry) tail = tail.withRetry({ ...waitsOf(node), maxAttempts: node.timeout ? 30 : 4 });
    if (node.timeout) tail = tail.withTimeout({ ms: 300 });
    return node.compensate ? tail.compensate(undoProcedure(node), { with: ({ seed }: Any) => ({ seed }) }) : tail;
  }

  function stepProcedure(node: StepSpec) {
    const { id, idempotent } = node;
    const policies = node.retry ? { policies: { retry: { maxAttempts: 4, ...waitsOf(node) } } } : {};
    return procedure({
      name: id,
      input: z.object({ seed: z.number(), from: z.number().optional() }),
      output: z.object({ [id]: z.number() }),
      ...(idempotent === undefined ? {} : { idempotent }),
      ...policies,
      handler: async ({ seed, from }, context) => {
        await leave({ kind: "do", context });
        const path = context.node!;
        const failures = failuresOf(seed, path, node);
        if (failures === Number.POSITIVE_INFINITY) throw new Refused(false);
        if (context.attempt <= failures) {
          // An attempt that hangs minds its signal.
          if (node.timeout) await sleep(60_000, undefined, { signal: context.signal });
          throw new Refused(true);
        }
        const workMs = draw(seed, `${path}~`);
        if (workMs > 0.4) await sleep(workMs ** 4 * 120);
        return { [id]: stepValue(seed, path, from ?? 0) };
      },
    });
  }

  function undoProcedure(node: StepSpec) {
    return procedure({
      name: `${node.id}_undo`,
      input: z.object({ seed: z.number() }),
      output: z.object({}),
      handler: async ({ seed }, context) => {
        await leave({ kind: "undo", context });
        if (context.attempt === 1 && draw(seed, `${context.node}<`) < 0.3) throw new Refused(true);
        return {};
      },
    });
  }
}

function waitsOf({ waitsLong }: StepSpec) {
  return waitsLong ? ({ backoff: "fixed", initialMs: 1_100 } as const) : { initialMs: 10, maxMs: 60 };
}

export function childSeed(seed: number, id: string): number {
  return Math.floor(draw(seed, `${id}>`) * 1_000_000);
}
