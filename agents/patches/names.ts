// Names: what identifiers of a file refer to, by scope analysis.
import type { Reference, Scope, ScopeManager, Variable } from "@typescript-eslint/scope-manager";
import type { Node } from "./source-file.ts";

/** Questions about names, answered by scope analysis. */
export class Names {
  readonly #scopes: ScopeManager;

  constructor(scopes: ScopeManager) {
    this.#scopes = scopes;
  }

  #references(): Reference[] {
    return this.#scopes.scopes.flatMap((scope: Scope) => scope.references);
  }

  /** What an identifier refers to; null for globals. */
  variableOf(identifier: Node): Variable | null {
    const found = this.#references().find((reference) => (reference.identifier as unknown) === identifier);
    return found?.resolved ?? null;
  }

  /** The variable that a declaration's identifier declares. */
  declaredBy(identifier: Node): Variable | null {
    for (const scope of this.#scopes.scopes) {
      for (const variable of scope.variables) {
        if (variable.identifiers.some((node) => (node as unknown) === identifier)) return variable;
      }
    }
    return null;
  }

  neverReassigned(variable: Variable): boolean {
    return variable.references.every((reference) => !reference.isWrite() || reference.init === true);
  }

  referencesIn(variable: Variable, node: Node): Node[] {
    return variable.references
      .map((reference) => reference.identifier as unknown as Node)
      .filter((identifier) => identifier.start >= node.start && identifier.end <= node.end);
  }

  isGlobal(identifier: Node): boolean {
    const variable = this.variableOf(identifier);
    return variable === null || variable.defs.length === 0;
  }
}
