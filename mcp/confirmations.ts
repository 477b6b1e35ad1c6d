// Confirmations: what was planned and not yet confirmed, each bound to who, what, and until when, and good for one use.
import { createHash, randomBytes } from "node:crypto";

/** What a confirmation is bound to. */
export interface Planned {
  principal: string;
  operation: string;
  input: unknown;
}

export const confirmationSeconds = 300;
/** A caller that never confirms cannot fill the memory. */
const mostPending = 1_000;

/**
 * Kept in memory on purpose: a restart forgets what was not confirmed, so nothing is confirmed twice across one.
 * Invariants: an id is unguessable; the first use takes it away, whether it fits or not; nothing fits after its time.
 */
export class Confirmations {
  readonly #pending = new Map<string, { bound: string; expires: number }>();

  /** Notes a plan and answers the id that confirms it. */
  plan(planned: Planned): string {
    const now = Date.now();
    for (const [id, { expires }] of this.#pending) {
      if (expires > now && this.#pending.size < mostPending) break;
      this.#pending.delete(id);
    }
    const id = randomBytes(12).toString("base64url");
    this.#pending.set(id, { bound: bindingOf(planned), expires: now + confirmationSeconds * 1_000 });
    return id;
  }

  /** True once for an id and what it was planned for. */
  take(id: string, planned: Planned): boolean {
    const found = this.#pending.get(id);
    this.#pending.delete(id);
    return found !== undefined && found.expires > Date.now() && found.bound === bindingOf(planned);
  }
}

function bindingOf({ principal, operation, input }: Planned): string {
  return createHash("sha256")
    .update(canonical([principal, operation, input]))
    .digest("hex");
}

/** JSON with the keys of objects in order, so that the same input has the same digest. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
