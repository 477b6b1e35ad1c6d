// Policies: which errors are worth another attempt, what they are called, and how long the waits are.
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { TsdevError } from "../errors.ts";
import { backoffOf } from "./backoff.ts";
import { errorType, isTransient } from "./transient.ts";

const tsdev = (code: ConstructorParameters<typeof TsdevError>[0]) => new TsdevError(code, { message: "m", fix: "f" });
const withFields = (fields: object) => Object.assign(new Error("m"), fields);

test.each([
  ["a reset connection", withFields({ code: "ECONNRESET" }), true, "ECONNRESET"],
  [
    "a wrapped network error",
    new TypeError("fetch failed", { cause: withFields({ code: "UND_ERR_SOCKET" }) }),
    true,
    "UND_ERR_SOCKET",
  ],
  ["a deadlock in Postgres", withFields({ code: "40P01" }), true, "40P01"],
  ["a connection that pg lost", new Error("Connection terminated unexpectedly"), true, "Error"],
  ["a unique violation in Postgres", withFields({ code: "23505" }), false, "23505"],
  ["an answer of 503", withFields({ status: 503 }), true, "http_503"],
  ["an answer of 429 as statusCode", withFields({ statusCode: 429 }), true, "http_429"],
  ["an answer of 503 as ky has it", withFields({ response: { status: 503 } }), true, "http_503"],
  ["an answer of 502 as got has it", withFields({ response: { statusCode: 502 } }), true, "http_502"],
  ["an answer of 404", withFields({ status: 404 }), false, "http_404"],
  ["an answer of 501", withFields({ status: 501 }), false, "http_501"],
  ["unavailable", tsdev("unavailable"), true, "unavailable"],
  ["timeout", tsdev("timeout"), true, "timeout"],
  ["invalid_output, though its status is 500", tsdev("invalid_output"), false, "invalid_output"],
  ["retryable: true", withFields({ retryable: true }), true, "Error"],
  ["retryable: false on a 503", withFields({ status: 503, retryable: false }), false, "http_503"],
  ["a type error of our own", new TypeError("x is not a function"), false, "TypeError"],
  ["a thrown text", "oops", false, "string"],
])("%s", (_what, error, transient, type) => {
  expect(isTransient(error)).toBe(transient);
  expect(errorType(error)).toBe(type);
});

test("a signal's own time-out and a refused connection of fetch are transient, an abort is not", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const timedOut = await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(5) }).catch((error) => error);
  const aborted = await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.abort() }).catch((error) => error);
  await new Promise((resolve) => server.close(resolve));
  const refused = await fetch(`http://127.0.0.1:${port}`).catch((error) => error);
  expect([timedOut, refused, aborted].map(isTransient)).toEqual([true, true, false]);
  expect([timedOut, refused, aborted].map(errorType)).toEqual(["TimeoutError", "ECONNREFUSED", "AbortError"]);
});

test("exponential waits have full jitter below a doubling limit, fixed ones are exact", () => {
  for (let round = 0; round < 200; round++) {
    const next = backoffOf({ maxAttempts: 9, initialMs: 100, maxMs: 1_000 });
    for (const limit of [100, 200, 400, 800, 1_000, 1_000]) {
      const wait = next();
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThanOrEqual(limit);
    }
  }
  const fixed = backoffOf({ maxAttempts: 3, backoff: "fixed", initialMs: 70 });
  expect([fixed(), fixed()]).toEqual([70, 70]);
});
