// Check: a definition against the registry, node by node along the scope, as the compiler does with a chain.
import type { CompensateIr, NodeIr, PoliciesIr, StepIr } from "../../ir/ir.ts";
import { parallelId } from "../../ir/ir.ts";
import { likelyMeant } from "../../nearest.ts";
import type { AnyProcedure } from "../../procedures/procedure.ts";
import type { Registry } from "../../registry.ts";
import { type JsonSchema, jsonSchemaOf, propertiesOf } from "../json-schema.ts";
import type { Comparison, ComposedNode, ComposedStep, Mapping } from "./definition.ts";
import { misfit, schemaOf, typesOf, valuesOf } from "./fits.ts";

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

interface Entry {
  readonly schema: JsonSchema;
  readonly required: boolean;
}
export type Scope = ReadonlyMap<string, Entry>;

const approval: JsonSchema = {
  type: "object",
  properties: { approved: { type: "boolean" }, by: { type: "string" }, at: {}, comment: { type: "string" } },
  required: ["approved", "by", "at"],
};

export class Checker {
  readonly problems: ComposeProblem[] = [];
  /** Paths on which something may be missing. */
  readonly unsure = new Set<string>();
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

  problem(path: string, code: ProblemCode, message: string, fix: string): void {
    this.problems.push({ path, code, message, fix });
  }

  procedure(name: string, path: string): AnyProcedure | undefined {
    return this.#known(name, this.#registry.procedures, "procedure", path);
  }

  workflow(name: string, path: string) {
    return this.#known(name, this.#registry.workflows, "workflow", path);
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
          this.#retry(procedure, node, path);
          return { op: "step", id: procedure.name, procedure: procedure.name };
        });
        this.#hazards(procedures, path);
        const after = procedures.reduce(
          (before, procedure, index) => this.#adds(procedure, undefined, before, `${path}.procedures.${index}`),
          scope,
        );
        return { ir: { op: "parallel", id: parallelId(branches), branches, ...policiesOf(node) }, scope: after };
      }
      case "sleep": {
        this.#id(node.id, `${path}.id`);
        if ((node.ms === undefined) === (node.until === undefined)) {
          this.problem(path, "invalid_definition", "a sleep has either ms or until", "give one of the two");
        }
        if (node.until !== undefined) this.#at(node.until, scope, `${path}.until`);
        return {
          ir: { op: "sleep", id: node.id, ...(node.ms === undefined ? { mapped: true } : { ms: node.ms }) },
          scope,
        };
      }
      case "waitFor": {
        this.#id(node.id, `${path}.id`);
        const event = this.#known(node.event, this.#registry.events, "event", `${path}.event`);
        if (!event) return undefined;
        if (node.key !== undefined) this.#typed(node.key, { type: "string" }, scope, `${path}.key`);
        this.#limited(node, path);
        const { op: _, id, key, ...rest } = node;
        const schema = jsonSchemaOf(event.payload, "output");
        const entry = { schema, required: node.onTimeout === undefined };
        return {
          ir: { op: "waitFor", id, ...(key === undefined ? {} : { keyed: true }), ...rest },
          scope: this.#write(scope, node.id, entry, `${path}.id`),
        };
      }
      case "approve":
        this.#id(node.id, `${path}.id`);
        this.#limited(node, path);
        return { ir: node, scope: this.#write(scope, node.id, { schema: approval, required: true }, `${path}.id`) };
      case "call": {
        const workflow = this.workflow(node.workflow, `${path}.workflow`);
        if (!workflow) return undefined;
        const id = node.as ?? workflow.name;
        this.#id(id, path);
        this.#fills(jsonSchemaOf(workflow.input, "input"), node.with, scope, path, `workflow "${workflow.name}"`);
        const as = node.as === undefined ? {} : { as: node.as };
        return {
          ir: { op: "call", id, workflow: workflow.name, ...as, ...(node.with ? { mapped: true } : {}) },
          scope: this.#write(scope, id, { schema: { type: "object" }, required: true }, path),
        };
      }
      case "when": {
        this.#id(node.id, `${path}.id`);
        this.#comparison(node.if, scope, `${path}.if`);
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
        const value = this.#at(node.value, scope, `${path}.value`);
        this.#cases(node, value, path);
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
        const items = this.#typed(node.items, { type: "array" }, scope, `${path}.items`);
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
          scope: this.#write(scope, id, { schema: { type: "array", items: element }, required: true }, `${path}.id`),
        };
      }
      case "repeat": {
        this.#id(node.id, `${path}.id`);
        const inner = new Map(scope).set("round", { schema: { type: "integer" }, required: true });
        const body = this.sequence(node.nodes, inner, `${path}.nodes`);
        this.#comparison(node.until, body.scope, `${path}.until`);
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
    this.#retry(procedure, node, path);
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
    this.#fills(jsonSchemaOf(procedure.input, "input"), mapping, scope, path, `step "${procedure.name}"`);
  }

  /** Holds what the scope or the mapping gives to what the input wants. */
  #fills(input: JsonSchema, mapping: Mapping | undefined, scope: Scope, path: string, who: string): void {
    const wanted = propertiesOf(input);
    if (!wanted) {
      if (typesOf(input)?.some((type) => type !== "object")) {
        this.problem(path, "type_mismatch", `${who} takes no object`, "use a procedure whose input is an object");
      }
      return;
    }
    for (const key of Object.keys(mapping ?? {})) {
      if (wanted.has(key)) continue;
      const near = likelyMeant(key, wanted.keys());
      const fix = near === undefined ? "remove it" : `did you mean "${near}"?`;
      this.problem(`${path}.with.${key}`, "unknown_name", `${who} has no input "${key}"`, fix);
    }
    for (const [key, { schema, required }] of wanted) {
      const at = mapping ? `${path}.with.${key}` : path;
      const from = mapping ? (Object.hasOwn(mapping, key) ? mapping[key] : undefined) : `$.${key}`;
      if (from === undefined || (!mapping && !scope.has(key))) {
        if (required) {
          const known = [...scope.keys()].map((one) => `$.${one}`).join(", ") || "nothing";
          const what = mapping ? "which `with` does not give" : "which neither the input nor an earlier node provides";
          this.problem(at, "missing_key", `${who} needs "${key}", ${what}`, `map it with { with }; there is ${known}`);
        }
        continue;
      }
      if (typeof from === "string") this.#typed(from, schema, scope, at, required);
      else {
        const why = misfit(schemaOf(from.value), schema);
        if (why) this.problem(at, "type_mismatch", `the value of "${key}" does not fit: ${why}`, "give another value");
      }
    }
  }

  #adds(procedure: AnyProcedure, as: string | undefined, scope: Scope, path: string): Scope {
    const output = jsonSchemaOf(procedure.output, "output");
    if (as !== undefined) return this.#write(scope, as, { schema: output, required: true }, `${path}.as`);
    let after = scope;
    for (const [key, entry] of propertiesOf(output) ?? []) after = this.#write(after, key, entry, path);
    return after;
  }

  #write(scope: Scope, key: string, entry: Entry, path: string): Scope {
    if (scope.has(key)) {
      this.problem(
        path,
        "key_written_twice",
        `"${key}" is already in the scope`,
        "nest this output with { as }, or rename the node",
      );
    }
    return new Map(scope).set(key, entry);
  }

  #id(id: string, path: string): void {
    if (this.#ids.has(id)) {
      this.problem(
        path,
        "duplicate_id",
        `"${id}" is already the id of a node`,
        "give this one another with { as } or id",
      );
    }
    this.#ids.add(id);
  }

  #retry(procedure: AnyProcedure, { retry }: { retry?: { maxAttempts: number } | undefined }, path: string): void {
    if (!retry || retry.maxAttempts < 2 || procedure.idempotent !== false) return;
    this.problem(
      `${path}.retry`,
      "unsafe_retry",
      `"${procedure.name}" says idempotent: false, so a second attempt may do it twice`,
      "remove the retry, or make the procedure safe to repeat by ctx.idempotencyKey",
    );
  }

  #hazards(procedures: readonly AnyProcedure[], path: string): void {
    for (const [index, one] of procedures.entries()) {
      for (const other of procedures.slice(index + 1)) {
        const shared =
          common(one.effects?.writes, other.effects?.writes) ??
          common(one.effects?.writes, other.effects?.reads) ??
          common(one.effects?.reads, other.effects?.writes);
        if (shared === undefined) continue;
        const message = `"${one.name}" and "${other.name}" both touch "${shared}", and at least one writes it`;
        this.problem(path, "parallel_hazard", message, "let one follow the other as steps");
      }
    }
  }

  #limited(node: { timeoutMs?: number | undefined; onTimeout?: string | undefined }, path: string): void {
    if (node.onTimeout === undefined || node.timeoutMs !== undefined) return;
    this.problem(path, "invalid_definition", "onTimeout without timeoutMs never happens", "give timeoutMs");
  }

  #comparison({ path: from, op, value }: Comparison, scope: Scope, path: string): void {
    const list = Array.isArray(value);
    if ((op === "exists") !== (value === undefined) || list !== (op === "in")) {
      const needs = op === "exists" ? "no value" : op === "in" ? "a list of values" : "one value";
      this.problem(path, "invalid_definition", `"${op}" takes ${needs}`, "correct value");
      return;
    }
    const ordered = op !== "exists" && !["eq", "ne", "in"].includes(op);
    const schema = this.#at(from, scope, `${path}.path`, ordered);
    if (!schema || op === "exists") return;
    for (const one of list ? value : [value]) {
      const types = typesOf(schema);
      const kind = one === null ? "null" : typeof one;
      const fits = !types || types.some((type) => type === kind || (type === "integer" && kind === "number"));
      const known = valuesOf(schema);
      if (!fits || (known && !known.includes(one)) || (ordered && kind !== "number" && kind !== "string")) {
        const message = `${from} is ${known ? known.map((each) => JSON.stringify(each)).join(" or ") : types?.join(" or ")}, which ${JSON.stringify(one)} is not comparable with`;
        this.problem(`${path}.value`, "type_mismatch", message, "compare it with a value that it can have");
      }
    }
  }

  #cases(
    node: { cases: Record<string, unknown>; otherwise?: unknown; value: string },
    value: JsonSchema | undefined,
    path: string,
  ): void {
    if (!value) return;
    const known = valuesOf(value)?.map(String);
    const names = Object.keys(node.cases);
    for (const name of names) {
      if (!known || known.includes(name)) continue;
      const near = likelyMeant(name, known);
      const fix = near === undefined ? "remove it" : `did you mean "${near}"?`;
      this.problem(`${path}.cases.${name}`, "unknown_name", `${node.value} is never "${name}"`, fix);
    }
    if (node.otherwise !== undefined) return;
    const open = known ? known.filter((one) => !names.includes(one)) : ["anything else"];
    if (open.length === 0) return;
    this.problem(path, "missing_key", `no case for ${open.join(", ")}`, "add the cases, or otherwise");
  }

  /** The schema at a path, held to what is wanted there. */
  #typed(from: string, wanted: JsonSchema, scope: Scope, path: string, required = true): JsonSchema | undefined {
    const found = this.#at(from, scope, path, required);
    const why = found && misfit(found, wanted);
    if (why) this.problem(path, "type_mismatch", `${from} does not fit: ${why}`, "map another value with { with }");
    return found;
  }

  /** The schema at a path; undefined, with a problem, when the scope has no such place or it may be missing. */
  #at(from: string, scope: Scope, path: string, required = false): JsonSchema | undefined {
    const [first = "", ...rest] = [...from.matchAll(/\.(\w+)|\[(\d+)\]/g)].map(
      ([, key, index]) => key ?? Number(index),
    );
    const entry = scope.get(String(first));
    if (!entry) {
      const near = likelyMeant(String(first), scope.keys());
      const fix =
        near === undefined ? `there is ${[...scope.keys()].join(", ") || "nothing"}` : `did you mean "$.${near}"?`;
      this.problem(path, "missing_key", `"${first}" is not in the scope here`, fix);
      return undefined;
    }
    let at: JsonSchema = entry.schema;
    let sure = entry.required;
    for (const part of rest) {
      const keys = typeof part === "string" ? propertiesOf(at) : null;
      if (typeof part === "number") at = typeof at.items === "object" ? at.items : {};
      else if (keys && keys.size > 0) {
        const found = keys.get(part);
        if (!found) {
          const near = likelyMeant(part, keys.keys());
          this.problem(
            path,
            "missing_key",
            `${from}: there is no "${part}"`,
            near ? `did you mean "${near}"?` : "use a key that is there",
          );
          return undefined;
        }
        at = found.schema;
        sure &&= found.required;
      } else at = {};
      sure &&= typeof part !== "number";
    }
    if (!sure) this.unsure.add(from);
    if (required && !sure) {
      this.problem(
        path,
        "type_mismatch",
        `${from} may be missing`,
        "use it in a branch that asks whether it exists, or another value",
      );
    }
    return at;
  }

  #known<T>(name: string, all: ReadonlyMap<string, T>, what: string, path: string): T | undefined {
    const found = all.get(name);
    if (found) return found;
    const near = likelyMeant(name, all.keys());
    const fix =
      near === undefined ? `known: ${[...all.keys()].slice(0, 20).join(", ") || "none"}` : `did you mean "${near}"?`;
    this.problem(path, "unknown_name", `there is no ${what} "${name}"`, fix);
    return undefined;
  }
}

function policiesOf(node: PoliciesIr): PoliciesIr {
  const { retry, timeout, cache, rateLimit, circuitBreaker } = node;
  const all = { retry, timeout, cache, rateLimit, circuitBreaker };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** After branches: a key that not all of them add may be missing. */
function merged(before: Scope, ends: readonly Scope[]): Scope {
  const after = new Map(before);
  for (const key of new Set(ends.flatMap((end) => [...end.keys()]))) {
    if (before.has(key)) continue;
    const entries = ends.map((end) => end.get(key));
    const schemas = entries.flatMap((entry) => (entry ? [entry.schema] : []));
    const [only] = schemas;
    const required = entries.every((entry) => entry?.required === true);
    after.set(key, { schema: schemas.length === 1 && only ? only : { anyOf: schemas }, required });
  }
  return after;
}

function objectOf(entries: readonly (readonly [string, Entry])[]): JsonSchema {
  return {
    type: "object",
    properties: Object.fromEntries(entries.map(([key, { schema }]) => [key, schema])),
    required: entries.filter(([, { required }]) => required).map(([key]) => key),
  };
}

function common(a: readonly string[] = [], b: readonly string[] = []): string | undefined {
  return a.find((one) => b.includes(one));
}
