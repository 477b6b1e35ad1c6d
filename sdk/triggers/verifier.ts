// Verifier: who sent a webhook, by its signature. What the ready-made ones share; each has a file of its own.
import { timingSafeEqual } from "node:crypto";
import { TsdevError } from "../errors.ts";

export interface Verifier {
  /** What is checked, in a word or two, for whoever reads a list of webhooks. */
  readonly scheme: string;
  /** Throws `unauthenticated` when the request was not signed by who it should be. */
  verify(request: Request, body: Uint8Array): Promise<void> | void;
  /** An id of the delivery that the signature covers; undefined: the digest of the body is the id. */
  deliveryId?(request: Request, body: Uint8Array): string | undefined;
}

/**
 * Reads the secret when a request comes, so that it is in no declaration and no log, and a rotated one counts at once.
 * Several are tried in turn.
 */
export type Secret = () => Secrets | Promise<Secrets>;
type Secrets = string | readonly string[] | undefined;

/** Throws `unavailable` when there is none: a request that cannot be checked is refused, and its sender tries again. */
export async function readSecrets(secret: Secret): Promise<readonly string[]> {
  const read = await secret();
  const secrets = (typeof read === "string" ? [read] : (read ?? [])).filter((one) => one !== "");
  if (secrets.length > 0) return secrets;
  throw new TsdevError("unavailable", {
    message: "this webhook has no secret to check signatures with",
    fix: "set the variable that its `secret` reads, and deliver again",
  });
}

/** In a time that does not tell how much of it was right. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Throws `unauthenticated` when `seconds` (since 1970, as text) is not within the tolerance of now, either way. */
export function checkTimestamp(seconds: string, toleranceSeconds: number): void {
  const at = /^\d{1,15}$/.test(seconds) ? Number(seconds) : Number.NaN;
  if (Math.abs(Date.now() / 1_000 - at) <= toleranceSeconds) return;
  throw unauthenticated(
    Number.isNaN(at)
      ? "its timestamp is not a number of seconds"
      : at * 1_000 < Date.now()
        ? `it was signed more than ${toleranceSeconds} s ago`
        : `it was signed more than ${toleranceSeconds} s from now: this clock is behind the sender's, or the time is in milliseconds`,
  );
}

export function unauthenticated(why: string): TsdevError {
  return new TsdevError("unauthenticated", {
    message: `the webhook's signature was refused: ${why}`,
    fix: "check that both sides have the same secret and that nothing on the way changes the body",
  });
}
