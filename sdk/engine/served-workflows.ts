// Served workflows: those whose runs this engine carries on, and the code for the IR that a run began with.

import type { WorkflowIr } from "../ir/ir.ts";
import type { Registry } from "../registry.ts";
import type { Procedures } from "../workflows/code-for.ts";
import { codeFor, nodesWithoutCode } from "../workflows/code-for.ts";
import type { AnyWorkflow, NodeCode } from "../workflows/definition.ts";

type Code = ReadonlyMap<string, NodeCode>;

export class ServedWorkflows {
  readonly #workflows = new Map<string, AnyWorkflow>();
  /** Of a registry: a workflow that is begun does not take its place. */
  readonly #registered = new Set<string>();
  #procedures: Procedures | undefined;
  /** By `workflow@version`; null: this process has no code for it. */
  readonly #codes = new Map<string, Code | null>();
  #unservable: string[] = [];

  get names(): string[] {
    return [...this.#workflows.keys()];
  }

  /** `workflow@version` that this process has no code for. */
  get unservable(): readonly string[] {
    return this.#unservable;
  }

  get(name: string): AnyWorkflow | undefined {
    return this.#workflows.get(name);
  }

  register(registry: Registry): void {
    this.#procedures = registry.procedures;
    this.#codes.clear();
    this.#unservable = [];
    for (const [name, workflow] of registry.workflows) {
      this.#registered.add(name);
      this.#workflows.set(name, workflow);
    }
  }

  /** Runs that are begun here are looked after here, their children too. */
  add(workflow: AnyWorkflow): void {
    const { name } = workflow;
    const known = this.#workflows.get(name);
    if (known === workflow || this.#registered.has(name)) return;
    this.#workflows.set(name, workflow);
    if (known) {
      for (const key of [...this.#codes.keys()]) if (key.startsWith(`${name}@`)) this.#codes.delete(key);
      this.#unservable = this.#unservable.filter((key) => !key.startsWith(`${name}@`));
    }
    for (const { workflow: child } of workflow.code.values()) if (child) this.add(child);
  }

  /** Undefined: not known without the IR. */
  knownCode(name: string, version: string): Code | null | undefined {
    return this.#codes.get(`${name}@${version}`);
  }

  code(name: string, version: string, ir: WorkflowIr): Code | null {
    const key = `${name}@${version}`;
    let code = this.#codes.get(key);
    if (code === undefined) {
      const workflow = this.#workflows.get(name);
      code = (workflow && codeFor(workflow, ir, this.#procedures)) ?? null;
      this.#codes.set(key, code);
      if (code === null) this.#unservable.push(key);
    }
    return code;
  }

  /** The ids of the nodes of `ir` for which this process has no code. */
  missing(name: string, ir: WorkflowIr): string[] {
    const workflow = this.#workflows.get(name);
    return workflow ? nodesWithoutCode(workflow, ir, this.#procedures) : [];
  }
}
