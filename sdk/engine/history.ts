// History: what the journal of a run says of each path, for whoever carries the run on. What `retry` made the run
// forget is not in it.
import type { ErrorShape } from "../errors.ts";
import type { WorkflowIr } from "../ir/ir.ts";
import { PathOrder } from "./path.ts";
import type { HistoryRow, Stored } from "./run-store.ts";

/** What is known of one path. Which fields are set depends on its node. */
export interface Past {
  /** The number of the row that finished it. */
  seq: number;
  /** step, run, call: the output. waitFor: the payload. approve: the approval. */
  output?: Stored;
  /** It failed for good. */
  failed?: ErrorShape;
  /** An attempt began and nothing was heard of it. */
  inFlight?: boolean;
  failedAttempts?: number;
  /** After the newest failed attempt: when the next is due. */
  nextAt?: Date;
  /** What the last attempt failed with, where the node has not failed yet. */
  lastError?: ErrorShape;
  /** when, match: the branch. repeat's round: `again` or `over`. each's item: `failed`. A wait: `timeout`. */
  taken?: string;
  /** each: the items. each's failed item: its error. */
  decided?: Stored;
  wakeAt?: Date;
  /** waitFor. */
  eventId?: string;
  child?: string;
  /** The child was begun before the newest retry of the run. */
  isChildRetried?: boolean;
  compensated?: boolean;
  notCompensated?: boolean;
}

/** A run whose workers die in it so often, with nothing finished in between, is not taken up again. */
export const maxDeaths = 5;

export class History {
  readonly #past = new Map<string, Past>();
  readonly #order: PathOrder;
  readonly #retriedFrom: string[] = [];
  /** How often a path that had finished was forgotten because what it is in had failed. */
  readonly #failedAround = new Map<string, number>();
  readonly #children = new Map<string, number>();
  /** Workers that died one after the other, up to the end, with nothing finished in between. */
  deaths = 0;
  compensated = false;
  /** So many had died when the run began to be undone for it; 0: it was not. */
  gaveUpAfter = 0;
  /** A node failed, so that the run does. */
  readonly failing: boolean;

  constructor(rows: readonly HistoryRow[], ir: WorkflowIr) {
    this.#order = new PathOrder(ir);
    for (const row of rows) this.#read(row);
    this.failing = this.#isFailing();
  }

  /** The paths of the nodes that have finished, in that order. */
  finished(): string[] {
    const finished = [...this.#past].filter(([, { output }]) => output !== undefined);
    return finished.sort(([, a], [, b]) => a.seq - b.seq).map(([path]) => path);
  }

  of(path: string): Past | undefined {
    return this.#past.get(path);
  }

  /** How often the path was made to run again though it had finished: part of its idempotency key. */
  generation(path: string): number {
    let count = this.#failedAround.get(path) ?? 0;
    for (const from of this.#retriedFrom) if (this.#order.isAtOrAfter(path, from)) count++;
    return count;
  }

  /** How many children the path has had: a child that ended badly is not asked again. */
  children(path: string): number {
    return this.#children.get(path) ?? 0;
  }

  eventIds(): string[] {
    const ids: string[] = [];
    for (const { eventId } of this.#past.values()) if (eventId !== undefined) ids.push(eventId);
    return ids;
  }

  /** Of paths that have no output yet. */
  openChildren(): string[] {
    const open: string[] = [];
    for (const { child, output } of this.#past.values()) if (child !== undefined && !output) open.push(child);
    return open;
  }

  #isFailing(): boolean {
    for (const [path, { failed }] of this.#past) if (failed && !this.#order.isCollected(path)) return true;
    return false;
  }

  knows(path: string): boolean {
    return this.#order.has(path);
  }

  /** False for a path in an item or a round that the run has not come to. */
  hasBegunAround(path: string): boolean {
    const iterations = [...path.matchAll(/\](?=\/|$)/g)].map(({ index }) => path.slice(0, index + 1));
    return iterations.every((one) =>
      [...this.#past.keys()].some((known) => known === one || known.startsWith(`${one}/`)),
    );
  }

  #at(path: string, seq: number): Past {
    let past = this.#past.get(path);
    if (!past) {
      past = { seq };
      this.#past.set(path, past);
    }
    return past;
  }

  #read(row: HistoryRow): void {
    const { type, node, data, seq, output } = row;
    if (type === "run.resumed") {
      if (data.died === true) this.deaths++;
      return;
    }
    if (type === "run.waiting") this.deaths = 0;
    if (type === "run.retried") {
      this.#forget(data.from as string | null);
      this.deaths = 0;
      return;
    }
    if (node === null) return;
    const undoes = type === "step.compensated" || type === "compensation.failed";
    if (undoes && this.deaths > maxDeaths) this.gaveUpAfter = this.deaths;
    if (type !== "step.started" && type !== "attempt.failed") this.deaths = 0;
    if (type === "step.finished") {
      // By far the most rows.
      if (this.#past.has(node)) this.#past.delete(node);
      this.#past.set(node, { seq, output: output! });
      return;
    }
    const past = this.#at(node, seq);
    switch (type) {
      case "step.started":
        past.inFlight = true;
        break;
      case "attempt.failed":
        past.inFlight = false;
        past.failedAttempts = data.attempt as number;
        if (data.nextAt) past.nextAt = new Date(data.nextAt as string);
        if (data.nextInMs === null) past.lastError = data.error as ErrorShape;
        break;
      case "step.failed":
        past.inFlight = false;
        past.failed = data.error as ErrorShape;
        delete past.lastError;
        break;
      case "step.compensated":
        past.compensated = true;
        this.compensated = true;
        break;
      case "compensation.failed":
        past.notCompensated = true;
        this.compensated = true;
        break;
      case "decided":
        past.taken = data.taken as string;
        if (output) past.decided = output;
        break;
      case "timer.set":
        past.wakeAt = new Date(data.wakeAt as string);
        break;
      case "event.received":
        past.seq = seq;
        past.eventId = data.id as string;
        past.output = output!;
        break;
      case "approval.answered":
        past.seq = seq;
        past.output = output!;
        break;
      case "child.started":
        past.child = data.childRunId as string;
        past.isChildRetried = false;
        this.#children.set(node, this.children(node) + 1);
        break;
    }
  }

  /**
   * What failed, and all that is below it; with `from` also that node, those after it, and what was decided of the items
   * and rounds around it. A failure that stayed would end the run before it comes to `from`. Only what is in another item
   * whose failure was collected stays as it is.
   */
  #forget(from: string | null): void {
    if (from !== null) this.#retriedFrom.push(from);
    const renewed = (path: string) => from !== null && this.#order.isAtOrAfter(path, from);
    const isAround = (path: string) => from?.startsWith(`${path}/`) === true;
    const failed: string[] = [];
    const collected: string[] = [];
    for (const [path, past] of this.#past) {
      if (past.failed) failed.push(path);
      else if (past.taken === "failed" && !isAround(path)) collected.push(`${path}/`);
    }
    const again = failed.filter((path) => !collected.some((item) => path.startsWith(item)));
    const isAgain = (path: string) => again.some((one) => path === one || path.startsWith(`${one}[`));
    for (const [path, past] of this.#past) {
      if (renewed(path) || isAround(path)) this.#past.delete(path);
      else if (isAgain(path)) {
        this.#past.delete(path);
        if (past.output) this.#failedAround.set(path, (this.#failedAround.get(path) ?? 0) + 1);
      } else if (past.lastError) this.#past.delete(path);
      else if (past.inFlight) past.inFlight = false;
      else if (past.child) past.isChildRetried = true;
    }
  }
}
