// Told error: a run's failure as HTTP tells it. It quotes what a step threw, so secrets are taken out of its text by value.
import type { ErrorShape } from "../errors.ts";
import { redactText } from "../tracing/redaction.ts";

/** The same status or event, its error's text redacted. */
export function withToldError<T extends object>(of: T): T {
  const { error } = of as { error?: ErrorShape };
  return error ? { ...of, error: { ...error, message: redactText(error.message) } } : of;
}
