// Model: what a run must come to, computed from its specification, its seed and what came from outside.
import {
  caseOf,
  failuresOf,
  isTaken,
  itemsOf,
  maxRounds,
  type NodeSpec,
  roundsOf,
  type StepSpec,
  stepValue,
  type WorkflowSpec,
} from "./specification.ts";

/** What does not follow from the seed: it came from outside, or a worker died in a step that must not run twice. */
export interface Facts {
  readonly interrupted: ReadonlySet<string>;
  /** By path; undefined: nothing came in time. */
  readonly received: ReadonlyMap<string, unknown>;
  readonly approvals: ReadonlyMap<string, { readonly approved: boolean }>;
  readonly children: ReadonlyMap<string, { readonly state: string; readonly output: unknown; readonly code: string }>;
}

/** A node fails for good. */
class Failed extends Error {
  readonly code: string;
  constructor(path: string, code: string) {
    super(`${path}: ${code}`);
    this.code = code;
  }
}

type Values = Record<string, unknown>;
type View = Values & { seed: number };

export type Expected =
  | { readonly state: "done"; readonly output: Values }
  | { readonly state: "failed"; readonly why: string };

/** Throws when the facts lack what the run cannot have gone on without. */
export function expect(
  spec: WorkflowSpec,
  input: Readonly<Record<string, unknown>> & { seed: number },
  facts: Facts,
): Expected {
  try {
    return { state: "done", output: { ...input, ...body(spec.nodes, { ...input }, "") } };
  } catch (error) {
    if (error instanceof Failed) return { state: "failed", why: error.message };
    throw error;
  }

  function body(nodes: readonly NodeSpec[], around: View, prefix: string): Values {
    const view = { ...around };
    const added: Values = {};
    for (const node of nodes) {
      const more = outputOf(node, view, prefix);
      Object.assign(added, more);
      Object.assign(view, more);
    }
    return added;
  }

  function step(node: StepSpec, view: View, prefix: string): Values {
    const path = prefix + node.id;
    if (facts.interrupted.has(path)) throw new Failed(path, "interrupted");
    if (failuresOf(view.seed, path, node) === Number.POSITIVE_INFINITY) throw new Failed(path, "step_failed");
    return { [node.id]: stepValue(view.seed, path, (node.reads ? view[node.reads] : 0) ?? 0) };
  }

  function outputOf(node: NodeSpec, view: View, prefix: string): Values {
    switch (node.op) {
      case "step":
        return step(node, view, prefix);
      case "parallel":
        return Object.assign({}, ...node.branches.map((branch) => step(branch, view, prefix)));
      case "when":
        return body(isTaken(node.id, view) ? node.yes : node.no, view, prefix);
      case "match":
        return body(node.cases[caseOf(node.id, view)], view, prefix);
      case "each":
        return {
          [node.id]: itemsOf(node.id, view).map((item, index) => {
            try {
              const value = body(node.nodes, { ...view, item, index }, `${prefix}${node.id}[${index}]/`);
              return node.collect ? { ok: true, value } : value;
            } catch (error) {
              if (!node.collect || !(error instanceof Failed)) throw error;
              return { ok: false, error: { code: error.code } };
            }
          }),
        };
      case "repeat": {
        let last: Values = {};
        const rounds = roundsOf(node.id, view);
        for (let round = 0; round < Math.min(rounds, maxRounds); round++) {
          last = body(node.nodes, { ...view, round }, `${prefix}${node.id}[${round}]/`);
        }
        if (rounds > maxRounds) throw new Failed(prefix + node.id, "step_failed");
        return last;
      }
      case "sleep":
        return {};
      case "waitFor": {
        const path = prefix + node.id;
        const payload = known(facts.received, path);
        if (payload === undefined && node.onTimeout === "fail") throw new Failed(path, "timeout");
        return { [node.id]: payload };
      }
      case "approve": {
        const path = prefix + node.id;
        const approval = known(facts.approvals, path);
        if (!approval.approved && node.onReject !== "continue") throw new Failed(path, "rejected");
        return { [node.id]: approval };
      }
      case "call": {
        const path = prefix + node.id;
        const child = known(facts.children, path);
        if (child.state !== "done") throw new Failed(path, child.code);
        return { [node.id]: child.output };
      }
    }
  }
}

function known<T>(facts: ReadonlyMap<string, T>, path: string): T {
  if (!facts.has(path)) throw new Error(`the journal has nothing of "${path}", which the run had to pass`);
  return facts.get(path)!;
}
