// Executes the nodes of a run over the IR it began with, in order. What the history knows is read and not run again, and
// costs no promise; decisions are in the journal before what follows from them begins.
import { TsdevError } from "../errors.ts";
import type { EachIr, MatchIr, NodeIr, ParallelIr, RepeatIr, WhenIr } from "../ir/ir.ts";
import type { Collected } from "../workflows/definition.ts";
import type { Drive } from "./drive.ts";
import { executeLeaf, nodeFailed } from "./execute-leaf.ts";
import { executeApprove, executeCall, executeSleep, executeWaitFor, pause, pauseIsOver } from "./execute-wait.ts";
import { Later, RunScope } from "./run-scope.ts";
import type { Stored } from "./run-store.ts";
import { failureOf, Group, RunFailure } from "./stops.ts";

/** Where a body is: what its paths begin with, and whose failure ends it. */
export interface Place {
  readonly prefix: string;
  readonly group: Group | undefined;
}

type MaybePromise = Promise<void> | undefined;

/** Adds to the scope what the nodes give. Throws RunFailure, or what stops the run. */
export function executeBody(drive: Drive, nodes: readonly NodeIr[], scope: RunScope, place: Place): MaybePromise {
  for (let index = 0; index < nodes.length; index++) {
    const pending = executeNode(drive, nodes[index]!, scope, place);
    if (pending) return executeRest(pending, drive, nodes, index + 1, scope, place);
  }
}

async function executeRest(
  pending: Promise<void>,
  drive: Drive,
  nodes: readonly NodeIr[],
  from: number,
  scope: RunScope,
  place: Place,
): Promise<void> {
  await pending;
  for (let index = from; index < nodes.length; index++) {
    const next = executeNode(drive, nodes[index]!, scope, place);
    if (next) await next;
  }
}

function executeNode(drive: Drive, node: NodeIr, scope: RunScope, place: Place): MaybePromise {
  switch (node.op) {
    case "step":
    case "run":
      return executeLeaf(drive, node, undefined, scope, place, scope);
    case "parallel":
      return executeParallel(drive, node, scope, place);
    case "when":
      return executeWhen(drive, node, scope, place);
    case "match":
      return executeMatch(drive, node, scope, place);
    case "each":
      return executeEach(drive, node, scope, place);
    case "repeat":
      return executeRepeat(drive, node, scope, place);
    case "sleep":
      return executeSleep(drive, node, scope, place);
    case "waitFor":
      return executeWaitFor(drive, node, scope, place);
    case "approve":
      return executeApprove(drive, node, scope, place);
    case "call":
      return executeCall(drive, node, scope, place);
  }
}

/** Outputs are added when all branches are done: what a branch reads does not depend on how quick the others are. */
async function executeParallel(drive: Drive, node: ParallelIr, scope: RunScope, place: Place): Promise<void> {
  const ended = drive.fork(node.branches.length);
  const added = node.branches.map(() => new RunScope({}));
  const settled = await Promise.allSettled(
    node.branches.map(async (branch, index) => {
      try {
        await executeLeaf(drive, branch, node, scope, place, added[index]!);
      } finally {
        ended();
      }
    }),
  );
  throwFirst(drive, settled);
  for (const [index, branch] of node.branches.entries()) {
    try {
      scope.add(branch.id, undefined, added[index]!.own());
    } catch (error) {
      await nodeFailed(drive, place.prefix + branch.id, 1, error);
    }
  }
}

function executeWhen(drive: Drive, node: WhenIr, scope: RunScope, place: Place): MaybePromise {
  return withDecision(
    drive,
    node.id,
    place,
    () => (drive.code.get(node.id)!.decide!(scope.view()) ? "then" : "otherwise"),
    (taken) => executeBody(drive, taken === "then" ? node.then : (node.otherwise ?? []), scope, place),
  );
}

function executeMatch(drive: Drive, node: MatchIr, scope: RunScope, place: Place): MaybePromise {
  return withDecision(
    drive,
    node.id,
    place,
    () => {
      const value = String(drive.code.get(node.id)!.decide!(scope.view()));
      if (node.otherwise || node.cases.some((one) => one.case === value)) return value;
      const known = node.cases.map((one) => `"${one.case}"`).join(", ");
      throw new TsdevError("invalid_input", {
        message: `the value "${value}" has no case`,
        fix: `it may be ${known}; add a case for it, or a branch for all others`,
      });
    },
    (taken) => {
      const found = node.cases.find((one) => one.case === taken);
      return executeBody(drive, found?.nodes ?? node.otherwise ?? [], scope, place);
    },
  );
}

/** A decision is made once; whoever carries the run on takes the same way, whatever its code would say. */
function withDecision(
  drive: Drive,
  id: string,
  place: Place,
  decide: () => string,
  go: (taken: string) => MaybePromise,
): MaybePromise {
  const path = place.prefix + id;
  const past = drive.history?.of(path);
  if (past?.failed) throw failureOf(past.failed);
  if (past?.taken !== undefined) return go(past.taken);
  return (async () => {
    drive.checkStopped(place.group);
    let taken: string;
    try {
      taken = decide();
    } catch (error) {
      return nodeFailed(drive, path, 0, error);
    }
    await drive.append({ type: "decided", node: path, data: { taken } });
    await go(taken);
  })();
}

/**
 * The items are in the journal: a newer version's function may give others. An item's outputs are added to a scope of its
 * own; the list of them is made when it is read.
 */
function executeEach(drive: Drive, node: EachIr, scope: RunScope, place: Place): MaybePromise {
  const path = place.prefix + node.id;
  const past = drive.history?.of(path);
  if (past?.failed) throw failureOf(past.failed);
  if (past?.decided) return executeItems(drive, node, past.decided, Number(past.taken), scope, place);
  return (async () => {
    drive.checkStopped(place.group);
    let items: readonly unknown[];
    try {
      items = [...(drive.code.get(node.id)!.decide!(scope.view()) as Iterable<unknown>)];
    } catch (error) {
      return nodeFailed(drive, path, 0, error);
    }
    await drive.append({ type: "decided", node: path, data: { taken: String(items.length) }, output: items });
    await executeItems(drive, node, { read: () => items }, items.length, scope, place);
  })();
}

function executeItems(
  drive: Drive,
  node: EachIr,
  items: Stored,
  count: number,
  scope: RunScope,
  place: Place,
): MaybePromise {
  const group = new Group(place.group);
  const results: unknown[] = new Array(count);
  const itemKeys = ["item", "index"];
  const scopeOf = (index: number) =>
    new RunScope({ item: new Later(() => (items.read() as unknown[])[index]), index }, scope);
  /** Nothing of a failed item runs again; what it had finished is undone when the run is. */
  const readFailed = (index: number, prefix: string): MaybePromise => {
    const over = new Group(group);
    over.failed = true;
    try {
      const place = { prefix: `${prefix}/`, group: over };
      return executeBody(drive, node.nodes, scopeOf(index), place)?.catch(() => {});
    } catch {
      // How it failed is known.
    }
  };
  const executeItem = (index: number): MaybePromise => {
    const prefix = `${place.prefix}${node.id}[${index}]`;
    if (node.onError === "collect") {
      const past = drive.history?.of(prefix);
      if (past?.taken === "failed") {
        results[index] = past.decided!;
        return readFailed(index, prefix);
      }
    }
    const own = scopeOf(index);
    const done = () => {
      results[index] = own;
    };
    const pending = executeBody(drive, node.nodes, own, { prefix: `${prefix}/`, group });
    if (pending) return pending.then(done);
    done();
  };
  const collect = async (index: number, error: unknown): Promise<void> => {
    if (node.onError !== "collect" || !(error instanceof RunFailure)) {
      drive.abandon(group);
      throw error;
    }
    const { code, message } = error.error;
    const output = { ok: false, error: { code, message } };
    const row = { type: "decided", node: `${place.prefix}${node.id}[${index}]`, data: { taken: "failed" } } as const;
    await drive.append({ ...row, output });
    results[index] = { read: () => output };
  };
  const list = () =>
    results.map((result) => {
      if (!(result instanceof RunScope)) return (result as Stored).read();
      const value = result.own(itemKeys);
      return node.onError === "collect" ? ({ ok: true, value } satisfies Collected<unknown>) : value;
    });
  const finish = () => scope.addStored(node.id, new Later(list));

  // Without a promise as long as the history has it.
  let next = 0;
  let first: { index: number; pending: Promise<void> } | undefined;
  for (; next < count && !first; next++) {
    try {
      const pending = executeItem(next);
      if (pending) first = { index: next, pending };
    } catch (error) {
      first = { index: next, pending: Promise.reject(error) };
    }
  }
  if (!first) {
    finish();
    return;
  }
  const begun = first;
  const work = async (index: number, pending: MaybePromise): Promise<void> => {
    for (let one = index, running = pending; one < count; one = next++, running = undefined) {
      try {
        // Also when the run has failed or was canceled: what the history has of the other items is read, so that their
        // finished steps are undone. A node that would begin refuses by itself.
        await (running ?? executeItem(one));
      } catch (error) {
        await collect(one, error);
      }
    }
  };
  return (async () => {
    const workers = Math.max(1, Math.min(node.concurrency ?? 1, count - begun.index));
    const ended = drive.fork(workers);
    const settled = await Promise.allSettled(
      Array.from({ length: workers }, async (_none, worker) => {
        try {
          await (worker === 0 ? work(begun.index, begun.pending) : work(next++, undefined));
        } finally {
          ended();
        }
      }),
    );
    throwFirst(drive, settled);
    finish();
  })();
}

/** Every round has a scope of its own; the keys of the last are added. */
function executeRepeat(drive: Drive, node: RepeatIr, scope: RunScope, place: Place): MaybePromise {
  const path = place.prefix + node.id;
  /** Thrown after its rounds are read: their finished steps are to be undone. */
  const failed = drive.history?.of(path)?.failed;
  const round = (index: number): { own: RunScope; prefix: string; pending: MaybePromise } => {
    const prefix = `${path}[${index}]`;
    const own = new RunScope({ round: index }, scope);
    return { own, prefix, pending: executeBody(drive, node.nodes, own, { prefix: `${prefix}/`, group: place.group }) };
  };
  const add = (own: RunScope) => scope.add(node.id, undefined, own.own(["round"]));
  // Rounds that are over need no promise.
  let index = 0;
  let begun: ReturnType<typeof round> | undefined;
  for (; index < node.maxTimes; index++) {
    begun = round(index);
    if (begun.pending) break;
    const taken = drive.history?.of(begun.prefix)?.taken;
    if (taken === "over") return void add(begun.own);
    if (taken !== "again" || (node.everyMs && !pauseIsOver(drive, begun.prefix))) break;
  }
  return (async () => {
    for (; index < node.maxTimes; index++) {
      const { own, prefix, pending } = begun ?? round(index);
      begun = undefined;
      if (pending) await pending;
      let taken = drive.history?.of(prefix)?.taken;
      if (taken === undefined) {
        if (failed) throw failureOf(failed);
        drive.checkStopped(place.group);
        try {
          taken = drive.code.get(node.id)!.decide!(own.view()) ? "over" : "again";
        } catch (error) {
          return nodeFailed(drive, path, 0, error);
        }
        await drive.append({ type: "decided", node: prefix, data: { taken } });
      }
      if (taken === "over") return add(own);
      const isLast = index + 1 === node.maxTimes;
      if (node.everyMs && !isLast && !pauseIsOver(drive, prefix)) await pause(drive, prefix, node.everyMs, place);
    }
    if (failed) throw failureOf(failed);
    await drive.failNode(
      path,
      new TsdevError("step_failed", {
        message: `workflow "${drive.run.workflow}": "${path}" was not over after ${node.maxTimes} rounds`,
        fix: `raise maxTimes, or retry the run from "${path}"`,
      }),
    );
  })();
}

/**
 * What stops the run goes before what fails it: a failure is in the journal and comes again. Branches that have all
 * finished are passed also by a stopped run, which reads on for the steps that it has to undo; what would begin refuses.
 */
function throwFirst(drive: Drive, settled: readonly PromiseSettledResult<unknown>[]): void {
  const failures = settled.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  if (failures.length === 0) return;
  if (drive.stopped) throw drive.stopped;
  throw failures.find((error) => error instanceof RunFailure) ?? failures[0];
}
