// Problems: what is wrong with a definition, each with its place and what to do.
import { likelyMeant } from "../../nearest.ts";

export type ProblemCode =
  | "invalid_definition"
  | "unknown_name"
  | "missing_key"
  | "key_written_twice"
  | "type_mismatch"
  | "duplicate_id"
  | "parallel_hazard"
  | "unsafe_retry";

export interface ComposeProblem {
  /** In the definition, such as `nodes.2.with.total`. */
  path: string;
  code: ProblemCode;
  message: string;
  fix: string;
}

export class Problems {
  readonly all: ComposeProblem[] = [];
  /** Paths on which something may be missing. */
  readonly unsure = new Set<string>();

  add(path: string, code: ProblemCode, message: string, fix: string): void {
    this.all.push({ path, code, message, fix });
  }
}

/** What is declared by the name; undefined, with a problem, when nothing is. */
export function known<T>(
  problems: Problems,
  name: string,
  all: ReadonlyMap<string, T>,
  what: string,
  path: string,
): T | undefined {
  const found = all.get(name);
  if (found) return found;
  const near = likelyMeant(name, all.keys());
  const fix =
    near === undefined ? `known: ${[...all.keys()].slice(0, 20).join(", ") || "none"}` : `did you mean "${near}"?`;
  problems.add(path, "unknown_name", `there is no ${what} "${name}"`, fix);
  return undefined;
}
