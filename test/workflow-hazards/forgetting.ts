// Forgetting: what each retry made a run forget, so that it runs again, and what of it runs under other keys.
import type { Row } from "./recorded-run.ts";
import { nodesOf, type WorkflowSpec } from "./specification.ts";

/** One retry. */
export interface Forgetting {
  /** Of its row. */
  readonly seq: number;
  /** Milliseconds. */
  readonly at: number;
  /** True when what was known of the path is not known any more. */
  forgets(path: string): boolean;
  /** True when the path's next effect has a key of its own: it is meant to take effect again. */
  renews(path: string): boolean;
}

/**
 * Without `from` a retry forgets what failed and the rounds below it; what had finished there is renewed. An item whose
 * failure was collected stays as it is. With `from` (a node that is in no other one) it also forgets that one and all that
 * come after it, and renews them.
 */
export function forgettingsOf(journal: readonly Row[], spec: WorkflowSpec): Forgetting[] {
  const found: Forgetting[] = [];
  const places = new Map(
    spec.nodes.flatMap((node, place) =>
      nodesOf([node]).flatMap((one) => ("id" in one ? [[one.id, place] as const] : [])),
    ),
  );
  const placeOf = (path: string) => places.get(/^[^[/]*/.exec(path)![0])!;
  const failed = new Set<string>();
  const finished = new Set<string>();
  const collected = new Set<string>();
  for (const { type, node, data, seq, at } of journal) {
    if (type === "step.failed") failed.add(node!);
    else if (type === "step.finished") finished.add(node!);
    else if (type === "decided" && data.taken === "failed") collected.add(`${node}/`);
    if (type !== "run.retried") continue;
    const from: string | null = data.from;
    const tops = [...failed].filter((path) => ![...collected].some((item) => path.startsWith(item)));
    const isAfter = (path: string) => from !== null && placeOf(path) >= placeOf(from);
    const forgets = (path: string) => isAfter(path) || tops.some((one) => path === one || path.startsWith(`${one}[`));
    const again = new Set([...finished].filter(forgets));
    found.push({ seq, at, forgets, renews: (path) => isAfter(path) || again.has(path) });
    for (const paths of [failed, finished, collected]) for (const path of paths) if (forgets(path)) paths.delete(path);
  }
  return found;
}
