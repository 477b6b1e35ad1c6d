// The state of a page in its address, so that what one sees can be sent to somebody else; it makes no steps in the history.
import { useSearchParams } from "wouter";

export interface Address {
  get(name: string): string | null;
  all(name: string): string[];
  /** Null, an empty text and an empty list take a name out of the address. */
  set(changes: Record<string, string | string[] | null>): void;
}

export function useAddress(): Address {
  const [query, setQuery] = useSearchParams();
  return {
    get: (name) => query.get(name),
    all: (name) => query.getAll(name),
    set: (changes) =>
      setQuery(
        (before) => {
          const next = new URLSearchParams(before);
          for (const [name, value] of Object.entries(changes)) {
            next.delete(name);
            for (const one of Array.isArray(value) ? value : [value]) if (one) next.append(name, one);
          }
          return next;
        },
        { replace: true },
      ),
  };
}
