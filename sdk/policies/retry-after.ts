// Retry-After: how long an error asks to be waited for.

interface Asking {
  retryAfterMs?: unknown;
  headers?: unknown;
  response?: { headers?: unknown };
  cause?: unknown;
}

const maxCauses = 5;

/**
 * Milliseconds, or undefined when the error says nothing: its `retryAfterMs`, or the Retry-After (seconds, or a date as in
 * RFC 9110 §10.2.3) among its `headers` or those of its `response`; else what its cause asks for.
 */
export function retryAfterOf(error: unknown, now: number = Date.now()): number | undefined {
  let link = error;
  for (let depth = 0; depth < maxCauses && typeof link === "object" && link !== null; depth++) {
    const { retryAfterMs, headers, response, cause } = link as Asking;
    if (typeof retryAfterMs === "number" && retryAfterMs >= 0) return retryAfterMs;
    const text = headerOf(headers) ?? headerOf(response?.headers);
    const asked = text === undefined ? undefined : parse(text, now);
    if (asked !== undefined) return asked;
    link = cause;
  }
  return undefined;
}

function headerOf(headers: unknown): string | undefined {
  if (typeof headers !== "object" || headers === null) return undefined;
  if (headers instanceof Headers) return headers.get("retry-after") ?? undefined;
  for (const [name, value] of Object.entries(headers)) {
    if (name.toLowerCase() === "retry-after" && (typeof value === "string" || typeof value === "number")) {
      return String(value);
    }
  }
  return undefined;
}

function parse(text: string, now: number): number | undefined {
  if (/^\s*\d+(\.\d+)?\s*$/.test(text)) return Number(text) * 1_000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
