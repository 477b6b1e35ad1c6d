// Run scope: the values that a run has gathered. Write-once; a body of `.each` or `.repeat` has one of its own over the
// one around it. Adding and reading cost the keys that are concerned, never all of them: functions of the author get a
// plain object that grows along, made when the first of them needs it. Outputs that were read back stay text until a
// key is asked for.
import type { z } from "zod";
import { TsdevError } from "../errors.ts";
import type { NodeCode, Scope } from "../workflows/definition.ts";
import type { Stored } from "./run-store.ts";

/** A value that is made when it is read. */
export class Later implements Stored {
  #make: (() => unknown) | undefined;
  #value: unknown;

  constructor(make: () => unknown) {
    this.#make = make;
  }

  read(): unknown {
    if (this.#make) {
      this.#value = this.#make();
      this.#make = undefined;
    }
    return this.#value;
  }
}

export class RunScope {
  readonly #around: RunScope | undefined;
  readonly #own = new Map<string, unknown>();
  /** Outputs whose keys are not known yet. */
  #unread: Stored[] | undefined;
  #view: Record<string, unknown> | undefined;

  constructor(values: Scope, around?: RunScope) {
    this.#around = around;
    for (const key in values) this.#own.set(key, values[key]);
  }

  has(key: string): boolean {
    this.#readAll();
    return this.#own.has(key) || (this.#around?.has(key) ?? false);
  }

  get(key: string): unknown {
    this.#readAll();
    if (!this.#own.has(key)) return this.#around?.get(key);
    const value = this.#own.get(key);
    return value instanceof Later ? value.read() : value;
  }

  /** As an object. It grows with the scope; nobody may write to it. */
  view(): Scope {
    this.#readAll();
    if (!this.#view) {
      const view: Record<string, unknown> = {};
      for (let scope: RunScope | undefined = this; scope; scope = scope.#around) {
        scope.#readAll();
        for (const [key, value] of scope.#own) if (!Object.hasOwn(view, key)) show(view, key, value);
      }
      this.#view = view;
    }
    return this.#view;
  }

  /** The object of its own keys, without those; every value is read. */
  own(except: readonly string[] = []): Record<string, unknown> {
    this.#readAll();
    const own: Record<string, unknown> = {};
    for (const [key, value] of this.#own) {
      if (!except.includes(key)) own[key] = value instanceof Later ? value.read() : value;
    }
    return own;
  }

  /** Throws `conflict` when a key of the output is there already. */
  check(node: string, as: string | undefined, output: unknown): void {
    if (as !== undefined) this.#refuse(node, as);
    else if (isRecord(output)) {
      for (const key in output) if (Object.hasOwn(output, key)) this.#refuse(node, key);
    } else if (output !== undefined && output !== null) throw keyless(node, output);
  }

  /** Adds a node's output: under `as`, else its keys. Throws `conflict`. */
  add(node: string, as: string | undefined, output: unknown): void {
    if (as !== undefined) {
      this.#refuse(node, as);
      this.#set(as, output);
    } else if (isRecord(output)) {
      for (const key in output) {
        if (!Object.hasOwn(output, key)) continue;
        this.#refuse(node, key);
        this.#set(key, output[key]);
      }
    }
  }

  /** The same for an output that is not read yet, and was checked when it was written. */
  addStored(as: string | undefined, output: Stored): void {
    if (as !== undefined) this.#set(as, output instanceof Later ? output : new Later(() => output.read()));
    else if (this.#unread) this.#unread.push(output);
    else this.#unread = [output];
  }

  #set(key: string, value: unknown): void {
    this.#own.set(key, value);
    if (this.#view) show(this.#view, key, value);
  }

  #readAll(): void {
    const unread = this.#unread;
    if (!unread) return;
    this.#unread = undefined;
    for (const stored of unread) {
      const output = stored.read();
      if (isRecord(output)) for (const key in output) if (Object.hasOwn(output, key)) this.#set(key, output[key]);
    }
  }

  #refuse(node: string, key: string): void {
    if (!this.has(key)) return;
    throw new TsdevError("conflict", {
      message: `step "${node}" writes "${key}", which the scope already has`,
      fix: "nest its output under a key of its own with { as }",
      path: key,
    });
  }
}

function show(object: Record<string, unknown>, key: string, value: unknown): void {
  if (value instanceof Later) {
    Object.defineProperty(object, key, { get: () => value.read(), enumerable: true, configurable: true });
  } else object[key] = value;
}

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

/** A step's input: what `with` makes of the scope, else the keys that the contract names. `reads` notes the keys. */
export function readInput(
  code: { with?: NodeCode["with"]; procedure?: { input: z.ZodType } | undefined },
  scope: RunScope,
  reads?: Set<string>,
): unknown {
  if (code.with) return code.with(reads ? trackReads(scope.view(), reads) : scope.view());
  const keys = code.procedure && inputKeys(code.procedure.input);
  if (keys === undefined) return undefined;
  const input: Record<string, unknown> = {};
  for (const key of keys) {
    if (!scope.has(key)) continue;
    reads?.add(key);
    input[key] = scope.get(key);
  }
  return input;
}

const keysOf = new WeakMap<z.ZodType, readonly string[] | null>();

/** The keys that the input contract names; undefined when it takes no object. */
function inputKeys(contract: z.ZodType): readonly string[] | undefined {
  let keys = keysOf.get(contract);
  if (keys === undefined) {
    keys = schemaKeys(contract) ?? null;
    keysOf.set(contract, keys);
  }
  return keys ?? undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: a walk over Zod's own definitions, through what wraps an object
function schemaKeys(schema: any): readonly string[] | undefined {
  for (let inner = schema; inner; ) {
    const definition = inner._zod.def;
    if (definition.type === "object") return Object.keys(definition.shape);
    if (definition.type === "intersection") {
      return [...new Set([...(schemaKeys(definition.left) ?? []), ...(schemaKeys(definition.right) ?? [])])];
    }
    inner = definition.innerType ?? definition.in;
  }
  return undefined;
}

/** The keys that a node's output adds. */
export function addedKeys(as: string | undefined, output: unknown): string[] {
  if (as !== undefined) return [as];
  return isRecord(output) ? Object.keys(output) : [];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function keyless(node: string, output: unknown): TsdevError {
  const is = Array.isArray(output) ? "a list" : `a ${typeof output}`;
  return new TsdevError("invalid_output", {
    message: `"${node}" returned ${is}, which has no keys to add to the scope`,
    fix: `name it with .as("key"), or return an object`,
  });
}
