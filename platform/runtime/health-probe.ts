// One health probe of an instance: an HTTP GET to its port.
import { request } from "node:http";

/** `status` when it answered; `refused` when nothing listens; `silent` when a connection was made but no answer came in time. */
export type ProbeAnswer = { kind: "status"; status: number } | { kind: "refused" } | { kind: "silent"; reason: string };

/** Asks once. Probes name themselves `tsdev-probe`, so that traces and recordings can leave them out. */
export function probe(
  target: { host: string; port: number; path: string },
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<ProbeAnswer> {
  return new Promise((resolve) => {
    const asked = request({
      host: target.host,
      port: target.port,
      path: target.path,
      agent: false,
      headers: { "user-agent": "tsdev-probe", host: `localhost:${target.port}`, connection: "close" },
      signal: signal ? AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) : AbortSignal.timeout(timeoutMs),
    });
    asked.once("response", (response) => {
      response.once("error", () => {});
      resolve({ kind: "status", status: response.statusCode ?? 0 });
      response.destroy();
    });
    asked.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") resolve({ kind: "refused" });
      else if (error.name === "AbortError" || error.name === "TimeoutError")
        resolve({ kind: "silent", reason: `no answer within ${timeoutMs / 1000} s` });
      else resolve({ kind: "silent", reason: error.message });
    });
    asked.end();
  });
}

/** Readiness by the rule of the port: `health` below 500, or `/readyz` and, where that is not found, `/`. */
export async function probeReadiness(
  target: { host: string; port: number; health: string | undefined },
  timeoutMs: number,
  signal?: AbortSignal,
): Promise<{ ready: boolean; path: string; answer: ProbeAnswer }> {
  const ask = async (path: string) => ({
    path,
    answer: await probe({ host: target.host, port: target.port, path }, timeoutMs, signal),
  });
  let result = await ask(target.health ?? "/readyz");
  if (target.health === undefined && result.answer.kind === "status" && result.answer.status === 404) {
    result = await ask("/");
  }
  return { ready: result.answer.kind === "status" && result.answer.status < 500, ...result };
}
