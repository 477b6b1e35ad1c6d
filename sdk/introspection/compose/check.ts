// Check: a definition against the registry, node by node along the scope, as the compiler does with a chain.
import type { CompensateIr, NodeIr, PoliciesIr, StepIr } from "../../ir/ir.ts";
import { parallelId } from "../../ir/ir.ts";
import type { AnyProcedure } from "../../procedures/procedure.ts";
import type { Registry } from "../../registry.ts";
import { type JsonSchema, jsonSchemaOf, propertiesOf } from "../json-schema.ts";
import { checkCases, checkComparison } from "./check-choice.ts";
import { checkInput } from "./check-input.ts";
import { checkHazards, checkLimit, checkRetry } from "./check-safety.ts";
import type { ComposedNode, ComposedStep, Mapping } from "./definition.ts";
import { known, Problems } from "./problems.ts";
import { schemaAt, typedAt } from "./schema-at.ts";
import { merged, objectOf, type Scope, written } from "./scope.ts";

const approval: JsonSchema = {
  type: "object",
  properties: { approved: { type: "boolean" }, by: { type: "string" }, at: {}, comment: { type: "string" } },
  required: ["approved", "by", "at"],
};

export class Checker {
  readonly problems = new Problems();
  readonly #registry: Registry;
  readonly #ids = new Set<string>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  /** The nodes as IR, and the scope after them. */
  sequence(nodes: readonly ComposedNode[], scope: Scope, path: string): { ir: NodeIr[]; scope: Scope } {
    const ir: NodeIr[] = [];
    let after = scope;
    for (const [index, node] of nodes.entries()) {
      const one = this.#node(node, after, `${path}.${index}`);
      if (!one) continue;
      ir.push(one.ir);
      after = one.scope;
    }
    return { ir, scope: after };
  }

  procedure(name: string, path: string): AnyProcedure | undefined {
    return known(this.problems, name, this.#registry.procedures, "procedure", path);
  }

  workflow(name: string, path: string) {
    return known(this.problems, name, this.#registry.workflows, "workflow", path);
  }

  #node(node: ComposedNode, scope: Scope, path: string): { ir: NodeIr; scope: Scope } | undefined {
    switch (node.op) {
      case "step":
        return this.#step(node, scope, path);
      case "parallel": {
        const procedures = node.procedures.map((name, index) => this.procedure(name, `${path}.procedures.${index}`));
        if (!procedures.every((one) => one !== undefined)) return undefined;
        const branches = procedures.map((procedure, index): StepIr => {
          const at = `${path}.procedures.${index}`;
          this.#id(procedure.name, at);
          this.#reads(procedure, undefined, scope, at);
          checkRetry(this.problems, procedure, node, path);
          return { op: "step", id: procedure.name, procedure: procedure.name };
        });
        checkHazards(this.problems, procedures, path);
        const after = procedures.reduce(
          (before, procedure, index) => this.#adds(procedure, undefined, before, `${path}.procedures.${index}`),
          scope,
        );
        return { ir: { op: "parallel", id: parallelId(branches), branches, ...policiesOf(node) }, scope: after };
      }
      case "sleep": {
        this.#id(node.id, `${path}.id`);
        if ((node.ms === undefined) === (node.until === undefined)) {
          this.problems.add(path, "invalid_definition", "a sleep has either ms or until", "give one of the two");
        }
        if (node.until !== undefined) schemaAt(this.problems, node.until, scope, `${path}.until`);
        return {
          ir: { op: "sleep", id: node.id, ...(node.ms === undefined ? { mapped: true } : { ms: node.ms }) },
          scope,
        };
      }
      case "waitFor": {
        this.#id(node.id, `${path}.id`);
        const event = known(this.problems, node.event, this.#registry.events, "event", `${path}.event`);
        if (!event) return undefined;
        if ((node.key === undefined) !== (event.key === undefined)) {
          const [message, fix] = event.key
            ? [
                `event "${event.name}" has a key, and nothing says which one is meant`,
                'give `key`, such as "$.orderId"',
              ]
            : [`event "${event.name}" has no key`, "leave `key` out"];
          this.problems.add(path, "invalid_definition", message, fix);
        }
        if (node.key !== undefined) typedAt(this.problems, node.key, { type: "string" }, scope, `${path}.key`);
        checkLimit(this.problems, node, path);
        const { op: _, id, key, ...rest } = node;
        const schema = jsonSchemaOf(event.payload, "output");
        const entry = { schema, required: node.onTimeout === undefined };
        return {
          ir: { op: "waitFor", id, ...(key === undefined ? {} : { keyed: true }), ...rest },
          scope: written(this.problems, scope, node.id, entry, `${path}.id`),
        };
      }
      case "approve":
        this.#id(node.id, `${path}.id`);
        checkLimit(this.problems, node, path);
        return {
          ir: node,
          scope: written(this.problems, scope, node.id, { schema: approval, required: true }, `${path}.id`),
        };
      case "call": {
        const workflow = this.workflow(node.workflow, `${path}.workflow`);
        if (!workflow) return undefined;
        const id = node.as ?? workflow.name;
        this.#id(id, path);
        checkInput(
          this.problems,
          jsonSchemaOf(workflow.input, "input"),
          node.with,
          scope,
          path,
          `workflow "${workflow.name}"`,
        );
        const as = node.as === undefined ? {} : { as: node.as };
        return {
          ir: { op: "call", id, workflow: workflow.name, ...as, ...(node.with ? { mapped: true } : {}) },
          scope: written(this.problems, scope, id, { schema: { type: "object" }, required: true }, path),
        };
      }
      case "when": {
        this.#id(node.id, `${path}.id`);
        checkComparison(this.problems, node.if, scope, `${path}.if`);
        const then = this.sequence(node.then, scope, `${path}.then`);
        const otherwise = node.otherwise && this.sequence(node.otherwise, scope, `${path}.otherwise`);
        return {
          // biome-ignore lint/suspicious/noThenProperty: the IR's name for it
          ir: { op: "when", id: node.id, then: then.ir, ...(otherwise ? { otherwise: otherwise.ir } : {}) },
          scope: merged(scope, [then.scope, otherwise?.scope ?? scope]),
        };
      }
      case "match": {
        this.#id(node.id, `${path}.id`);
        const value = schemaAt(this.problems, node.value, scope, `${path}.value`);
        checkCases(this.problems, node, value, path);
        const cases = Object.entries(node.cases).map(([name, nodes]) => ({
          name,
          ...this.sequence(nodes, scope, `${path}.cases.${name}`),
        }));
        const otherwise = node.otherwise && this.sequence(node.otherwise, scope, `${path}.otherwise`);
        return {
          ir: {
            op: "match",
            id: node.id,
            cases: cases.map(({ name, ir }) => ({ case: name, nodes: ir })),
            ...(otherwise ? { otherwise: otherwise.ir } : {}),
          },
          scope: merged(
            scope,
            [...cases, ...(otherwise ? [otherwise] : [])].map((one) => one.scope),
          ),
        };
      }
      case "each": {
        this.#id(node.id, `${path}.id`);
        const items = typedAt(this.problems, node.items, { type: "array" }, scope, `${path}.items`);
        const item = typeof items?.items === "object" ? items.items : {};
        const inner = new Map(scope)
          .set("item", { schema: item, required: true })
          .set("index", { schema: { type: "integer" }, required: true });
        const body = this.sequence(node.nodes, inner, `${path}.nodes`);
        const added = objectOf([...body.scope].filter(([key]) => !inner.has(key)));
        const element = node.onError ? { type: "object" } : added;
        const { op, id, items: _, nodes: __, ...options } = node;
        return {
          ir: { op, id, ...options, nodes: body.ir },
          scope: written(
            this.problems,
            scope,
            id,
            { schema: { type: "array", items: element }, required: true },
            `${path}.id`,
          ),
        };
      }
      case "repeat": {
        this.#id(node.id, `${path}.id`);
        const inner = new Map(scope).set("round", { schema: { type: "integer" }, required: true });
        const body = this.sequence(node.nodes, inner, `${path}.nodes`);
        checkComparison(this.problems, node.until, body.scope, `${path}.until`);
        const after = new Map(body.scope);
        after.delete("round");
        const { op, id, until: _, nodes: __, ...options } = node;
        return { ir: { op, id, ...options, nodes: body.ir }, scope: after };
      }
    }
  }

  #step(node: ComposedStep, scope: Scope, path: string): { ir: NodeIr; scope: Scope } | undefined {
    const procedure = this.procedure(node.procedure, `${path}.procedure`);
    if (!procedure) return undefined;
    const id = node.as ?? procedure.name;
    this.#id(id, path);
    this.#reads(procedure, node.with, scope, path);
    checkRetry(this.problems, procedure, node, path);
    const after = this.#adds(procedure, node.as, scope, path);
    const ir: StepIr = {
      op: "step",
      id,
      procedure: procedure.name,
      ...(node.as === undefined ? {} : { as: node.as }),
      ...(node.with === undefined ? {} : { mapped: true }),
      ...policiesOf(node),
      ...this.#compensation(node, after, path),
    };
    return { ir, scope: after };
  }

  #compensation({ compensate }: ComposedStep, scope: Scope, path: string): { compensate?: CompensateIr } {
    if (!compensate) return {};
    const procedure = this.procedure(compensate.procedure, `${path}.compensate.procedure`);
    if (!procedure) return {};
    this.#reads(procedure, compensate.with, scope, `${path}.compensate`);
    return { compensate: { procedure: procedure.name, ...(compensate.with ? { mapped: true } : {}) } };
  }

  #reads(procedure: AnyProcedure, mapping: Mapping | undefined, scope: Scope, path: string): void {
    checkInput(this.problems, jsonSchemaOf(procedure.input, "input"), mapping, scope, path, `step "${procedure.name}"`);
  }

  #adds(procedure: AnyProcedure, as: string | undefined, scope: Scope, path: string): Scope {
    const output = jsonSchemaOf(procedure.output, "output");
    if (as !== undefined) return written(this.problems, scope, as, { schema: output, required: true }, `${path}.as`);
    let after = scope;
    for (const [key, entry] of propertiesOf(output) ?? []) after = written(this.problems, after, key, entry, path);
    return after;
  }

  #id(id: string, path: string): void {
    if (this.#ids.has(id)) {
      this.problems.add(
        path,
        "duplicate_id",
        `"${id}" is already the id of a node`,
        "give this one another with { as } or id",
      );
    }
    this.#ids.add(id);
  }
}

function policiesOf(node: PoliciesIr): PoliciesIr {
  const { retry, timeout, cache, rateLimit, circuitBreaker } = node;
  const all = { retry, timeout, cache, rateLimit, circuitBreaker };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
