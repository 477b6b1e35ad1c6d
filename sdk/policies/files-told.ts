// Files told: an input with the content of its files in their place, so that two inputs differ where their files do.
import { createHash } from "node:crypto";

/** The value itself where it holds no file. Reads the files whole: they are in memory already. */
export async function withFilesTold(value: unknown): Promise<unknown> {
  const files = new Map<Blob, unknown>();
  collect(value, files, new Set());
  if (files.size === 0) return value;
  for (const file of files.keys()) {
    const sha256 = createHash("sha256")
      .update(new Uint8Array(await file.arrayBuffer()))
      .digest("hex");
    files.set(file, { sha256, type: file.type, name: file instanceof File ? file.name : null });
  }
  return replaced(value, files);
}

function collect(value: unknown, files: Map<Blob, unknown>, seen: Set<object>): void {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  if (value instanceof Blob) files.set(value, undefined);
  else for (const item of itemsOf(value)) collect(item, files, seen);
}

function itemsOf(value: object): Iterable<unknown> {
  if (ArrayBuffer.isView(value)) return [];
  if (value instanceof Map) return [...value.keys(), ...value.values()];
  return value instanceof Set || Array.isArray(value) ? value : Object.values(value);
}

/** Only of what can hold files: all else is as it was. */
function replaced(value: unknown, files: ReadonlyMap<Blob, unknown>, open: ReadonlySet<object> = new Set()): unknown {
  if (typeof value !== "object" || value === null || open.has(value)) return value;
  if (value instanceof Blob) return files.get(value);
  const inner = (item: unknown) => replaced(item, files, new Set(open).add(value));
  if (Array.isArray(value)) return value.map(inner);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [inner(key), inner(item)]));
  if (value instanceof Set) return new Set([...value].map(inner));
  if (value instanceof Date || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inner(item)]));
}
