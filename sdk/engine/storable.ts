// Storable: whether a value comes back from the journal as it was, which every result of a step must.
import { types } from "node:util";
import { TsdevError } from "../errors.ts";

/**
 * Throws `invalid_output` for what a row cannot hold: functions, symbols, promises, instances of classes (but dates, maps,
 * sets, errors, URLs, regular expressions, buffers and typed arrays), and keys that would reach a prototype. It holds in
 * memory too, so that a test finds what a restart would lose. `what` begins the sentence, such as `step "charge" returned`.
 */
export function checkStorable(value: unknown, what: string): void {
  const found = unstorable(value, new Set());
  if (found === undefined) return;
  throw new TsdevError("invalid_output", {
    message: `${what} ${found.is}${found.path ? ` at ${found.path.slice(1)}` : ""}, which cannot be stored and read back`,
    fix: "return plain data: the fields that later steps need, not the object that holds them",
    ...(found.path ? { path: found.path.slice(1) } : {}),
  });
}

interface Unstorable {
  /** With its article. */
  is: string;
  /** With a dot before each part. */
  path: string;
}

function unstorable(value: unknown, open: Set<object>): Unstorable | undefined {
  if (typeof value === "function") return { is: `a function (${value.name || "without a name"})`, path: "" };
  if (typeof value === "symbol") return { is: "a symbol", path: "" };
  if (typeof value !== "object" || value === null || open.has(value)) return undefined;
  open.add(value);
  if (Array.isArray(value)) return inItems(value, open);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return inFields(value, open);
  if (types.isMap(value)) return inItems([...value.keys(), ...value.values()], open);
  if (types.isSet(value)) return inItems([...value], open);
  if (types.isDate(value) || types.isRegExp(value) || types.isNativeError(value)) return undefined;
  if (types.isTypedArray(value) || value instanceof URL) return undefined;
  return { is: `an instance of ${value.constructor?.name ?? "a class"}`, path: "" };
}

function inItems(items: readonly unknown[], open: Set<object>): Unstorable | undefined {
  for (let i = 0; i < items.length; i++) {
    // Most items are plain values.
    if (typeof items[i] === "string" || typeof items[i] === "number") continue;
    const found = unstorable(items[i], open);
    if (found) return below(String(i), found);
  }
  return undefined;
}

function inFields(value: object, open: Set<object>): Unstorable | undefined {
  for (const key in value) {
    if (!Object.hasOwn(value, key)) continue;
    if (key === "__proto__" || key === "constructor" || key === "prototype") return { is: `the key ${key}`, path: "" };
    const field = (value as Record<string, unknown>)[key];
    if (typeof field === "string" || typeof field === "number") continue;
    const found = unstorable(field, open);
    if (found) return below(key, found);
  }
  return undefined;
}

/** The path is made on the way back, so that a value which can be stored costs no text. */
function below(key: string, { is, path }: Unstorable): Unstorable {
  return { is, path: `.${key}${path}` };
}
