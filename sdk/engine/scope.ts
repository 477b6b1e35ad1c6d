// Scope at run time: what a node reads of it, what it adds, and that a key is written once.
import { TsdevError } from "../errors.ts";
import type { RunIr, StepIr } from "../ir/ir.ts";
import type { AnyProcedure } from "../procedures/procedure.ts";
import type { NodeCode, Scope } from "../workflows/workflow.ts";

/** A view of the scope that notes the keys that are read through it. */
export function trackReads(scope: Scope, reads: Set<string>): Scope {
  const note = (key: string | symbol) => {
    if (typeof key === "string" && Object.hasOwn(scope, key)) reads.add(key);
  };
  return new Proxy(scope, {
    get: (target, key) => {
      note(key);
      return Reflect.get(target, key);
    },
    has: (target, key) => {
      note(key);
      return Reflect.has(target, key);
    },
    getOwnPropertyDescriptor: (target, key) => {
      note(key);
      return Reflect.getOwnPropertyDescriptor(target, key);
    },
  });
}

/** A step's input: what `with` makes of the scope, else the keys that the contract names. */
export function readInput(code: NodeCode, scope: Scope, reads: Set<string>): unknown {
  if (code.with) return code.with(scope);
  const keys = inputKeys(code.procedure);
  if (keys === undefined) return undefined;
  const input: Record<string, unknown> = {};
  for (const key of keys) {
    if (!Object.hasOwn(scope, key)) continue;
    reads.add(key);
    input[key] = scope[key];
  }
  return input;
}

/** The keys that the input contract names, through what wraps an object; undefined when it takes no object. */
function inputKeys(procedure: AnyProcedure | undefined): string[] | undefined {
  // biome-ignore lint/suspicious/noExplicitAny: a walk over Zod's own definitions
  let schema: any = procedure?.input;
  while (schema) {
    const definition = schema._zod.def;
    if (definition.type === "object") return Object.keys(definition.shape);
    if (definition.type === "intersection") {
      const sides = [definition.left, definition.right].map((input) => inputKeys({ ...procedure!, input }) ?? []);
      return [...new Set(sides.flat())];
    }
    schema = definition.innerType ?? definition.in;
  }
  return undefined;
}

/** The keys that a node's output adds. */
export function addedKeys(node: StepIr | RunIr, output: unknown): string[] {
  if (node.as !== undefined) return [node.as];
  return isRecord(output) ? Object.keys(output) : [];
}

/** The scope with the node's output. Throws `conflict` on a key that is there already. */
export function addOutput(scope: Scope, node: StepIr | RunIr, output: unknown): Scope {
  const added = node.as !== undefined ? { [node.as]: output } : isRecord(output) ? output : {};
  for (const key of Object.keys(added)) {
    if (Object.hasOwn(scope, key)) {
      throw new TsdevError("conflict", {
        message: `step "${node.id}" writes "${key}", which the scope already has`,
        fix: "nest its output under a key of its own with { as }",
        path: key,
      });
    }
  }
  return { ...scope, ...added };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
