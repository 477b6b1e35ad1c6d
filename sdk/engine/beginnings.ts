// Beginnings: how runs begin here, each once for its id. Invariants:
// 1. A run is noted before its row is written, so that two calls with one id are one run.
// 2. A run is taken at once where there is a place and it needs no slot and no delay; else it is queued, and no more are
//    queued than may be. A child is always begun, since its caller waits for it.
import { randomUUID } from "node:crypto";
import { digest } from "../digest.ts";
import { TsdevError } from "../errors.ts";
import { checkContract } from "../procedures/contract.ts";
import type { AnyWorkflow, Scope } from "../workflows/definition.ts";
import type { BegunChild } from "./drive.ts";
import type { StartOptions } from "./engine.ts";
import { QueuedRuns } from "./queued-runs.ts";
import { databaseAway } from "./run-errors.ts";
import { openRunSpan } from "./run-span.ts";
import type { NewRun, RunStore, StoredRun } from "./run-store.ts";
import type { ServedWorkflows } from "./served-workflows.ts";
import { checkStorable } from "./storable.ts";
import type { Driven, Worker } from "./worker.ts";

export interface Begun {
  readonly run: StoredRun;
  /** Set when this process drives it. */
  readonly driven: Driven | undefined;
}

export interface BeginningsParts {
  readonly store: RunStore;
  readonly served: ServedWorkflows;
  readonly worker: Worker;
  readonly maxQueued: number;
}

export class Beginnings {
  readonly #parts: BeginningsParts;
  /** By run id. */
  readonly #beginning = new Map<string, Promise<Begun>>();
  readonly #queued: QueuedRuns;
  #closing = false;

  constructor(parts: BeginningsParts) {
    this.#parts = parts;
    this.#queued = new QueuedRuns(parts.store, parts.maxQueued);
  }

  /** From now on no run begins here but children. */
  beginNoMore(): void {
    this.#closing = true;
  }

  /** Resolves when the runs that are beginning have begun. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#beginning.values());
  }

  /** Begins the run or finds it. */
  async begin(workflow: AnyWorkflow, input: unknown, options: StartOptions): Promise<Begun> {
    const { runId = randomUUID() } = options;
    if (this.#closing) {
      throw new TsdevError("unavailable", { message: "the workflow engine is closing", fix: "try again in a moment" });
    }
    const scope = (await checkContract(workflow.input, input, `the input of workflow "${workflow.name}"`)) as Scope;
    checkStorable(input, `the input of workflow "${workflow.name}" holds`);
    checkStorable(scope, `the contract of the input of workflow "${workflow.name}" makes`);
    this.#parts.served.add(workflow);
    let beginning = this.#beginning.get(runId);
    const fresh = beginning === undefined;
    if (!beginning) {
      beginning = this.#beginNew(workflow, input, scope, runId, options);
      this.#beginning.set(runId, beginning);
      // Kept while the run is driven here; after that the store knows.
      const forget = () => this.#beginning.delete(runId);
      beginning.then(({ driven }) => (driven ? driven.ended.then(forget, forget) : forget()), forget);
    }
    const begun = await beginning.catch((error) => {
      throw TsdevError.is(error) ? error : databaseAway(`run "${runId}" could not begin`, error);
    });
    const { run } = begun;
    if (fresh && run.input === input && run.workflow === workflow.name) return begun;
    if (run.workflow !== workflow.name || digest(run.input) !== digest(input)) {
      throw new TsdevError("conflict", {
        message: `run "${runId}" is there already, of workflow "${run.workflow}" or with another input`,
        fix: "use another runId, or the same workflow and input to get that run",
      });
    }
    return begun;
  }

  async #beginNew(
    workflow: AnyWorkflow,
    input: unknown,
    scope: Scope,
    id: string,
    options: StartOptions & { parent?: string; eventFloor?: number },
  ): Promise<Begun> {
    const { name, version, ir } = workflow;
    const { origin = { kind: "direct" }, delayMs = 0, parent = null, eventFloor } = options;
    const slotKey = ir.concurrency ? slotKeyOf(workflow, scope) : null;
    const take = this.#parts.worker.places() > 0 && slotKey === null && delayMs === 0;
    const admitted = !take && parent === null && (await this.#checkQueue(name, id));
    const span = openRunSpan({ id, workflow: name, version, origin });
    const fresh: NewRun = {
      id,
      workflow: name,
      version,
      ir,
      input,
      scope,
      inputDigest: this.#parts.store.durable ? digest(input) : "",
      traceparent: span.traceparent,
      origin,
      principal: options.principal ?? null,
      slotKey,
      parent,
    };
    const begin = async () => {
      const asked = performance.now();
      const { run, taken } = await this.#parts.store.begin(fresh, {
        take,
        delayMs,
        ...(eventFloor === undefined ? {} : { eventFloor }),
      });
      return {
        run,
        driven: taken ? this.#parts.worker.begin(run, workflow.code, span, asked) : this.#parts.worker.get(id),
        taken,
      };
    };
    let queued = false;
    let begun: Awaited<ReturnType<typeof begin>>;
    try {
      begun = await (take ? this.#parts.worker.promising(1, begin) : begin());
      queued = !begun.taken && begun.run.state === "queued";
    } finally {
      this.#queued.begun(name, { admitted, queued });
    }
    const { run, driven } = begun;
    if (queued) {
      if (delayMs > 0) this.#parts.worker.scanAt(new Date(this.#parts.store.now().getTime() + delayMs));
      else this.#parts.worker.scanSoon();
    }
    return { run, driven };
  }

  /** Throws `rate_limited` when as many runs are queued as may be. True: admitted; false: it is there already. */
  async #checkQueue(workflow: string, runId: string): Promise<boolean> {
    const queued = await this.#queued.admit(workflow);
    if (queued === undefined) return true;
    if (await this.#parts.store.find(runId)) return false;
    const { maxQueued } = this.#parts;
    throw new TsdevError("rate_limited", {
      message: `${queued} runs of workflow "${workflow}" are queued, and no more than ${maxQueued} may be`,
      fix: "start it again later, add workers, or raise maxQueued",
    });
  }

  async beginChild(parent: StoredRun, { runId, node, code, input }: BegunChild): Promise<void> {
    const workflow = code.workflow!;
    const scope = (await checkContract(workflow.input, input, `the input of workflow "${workflow.name}"`)) as Scope;
    checkStorable(input, `the input of workflow "${workflow.name}" holds`);
    checkStorable(scope, `the contract of the input of workflow "${workflow.name}" makes`);
    this.#parts.served.add(workflow);
    const origin = { kind: "call", name: node, id: parent.id } as const;
    const { eventFloor } = parent;
    const options = {
      origin,
      eventFloor,
      parent: parent.id,
      ...(parent.principal ? { principal: parent.principal } : {}),
    };
    await this.#beginNew(workflow, input, scope, runId, options);
  }
}

function slotKeyOf(workflow: AnyWorkflow, scope: Scope): string {
  if (!workflow.concurrencyKey) return workflow.name;
  try {
    return `${workflow.name}:${String(workflow.concurrencyKey(scope as never))}`;
  } catch (cause) {
    throw new TsdevError("invalid_input", {
      message: `the concurrency key of workflow "${workflow.name}" threw: ${cause instanceof Error ? cause.message : String(cause)}`,
      fix: "let it cope with whatever fits the workflow's input",
      cause,
    });
  }
}
