// Waits until a started instance is healthy, and says exactly what is wrong when it does not become so.
import { setTimeout as delay } from "node:timers/promises";
import type { ErrorCode } from "../../sdk/errors.ts";
import { probeReadiness } from "./health-probe.ts";
import type { Instance } from "./instance.ts";
import { listenersOf } from "./ports.ts";
import type { StartFailure } from "./runtime.ts";

export interface HealthLimits {
  /** Until it has to be healthy, in milliseconds. */
  healthTimeoutMs: number;
  /** How long it may listen on other ports only before that is called a wrong port; the debugger's port does not count. */
  wrongPortAfterMs: number;
}

export type Health =
  | { kind: "healthy" }
  | { kind: "port_lost" }
  | ({ kind: "failed" } & StartFailure)
  | { kind: "aborted" };

const pollMs = 50;
const shownLines = 20;
/** Ports that Node's inspector takes. */
const isInspector = (port: number) => port >= 9229 && port <= 9239;

/** `port_lost` means that somebody else took the port meanwhile: start again on another. */
export async function awaitHealthy(
  instance: Instance,
  health: string | undefined,
  limits: HealthLimits,
  signal: AbortSignal,
): Promise<Health> {
  const { port } = instance.record;
  const began = performance.now();
  let otherSince: number | undefined;
  let lastScan = 0;
  let lastAnswer = `nothing listens on port ${port}`;

  const failed = (code: ErrorCode, message: string, fix: string): Health => {
    const lastLines = instance.lastLines(shownLines);
    const log = lastLines.length > 0 ? `; its last lines:\n${lastLines.join("\n")}` : "; it printed nothing";
    return { kind: "failed", error: { code, message: `${message}${log}`, fix }, lastLines };
  };

  for (;;) {
    if (signal.aborted) return { kind: "aborted" };
    instance.learnApp();
    if (!instance.isRunning()) {
      const text = instance.lastLines(shownLines).join("\n");
      const taken = /EADDRINUSE[^\n]*?:(\d+)\b/.exec(text)?.[1];
      if (taken === String(port)) return { kind: "port_lost" };
      if (taken !== undefined) {
        return failed(
          "port_taken",
          `the app tried to listen on port ${taken}, which is in use`,
          "listen on process.env.PORT instead of a fixed port",
        );
      }
      const code = instance.exitCode();
      const how =
        code === null ? "ended" : code > 128 ? `was ended by signal ${code - 128}` : `exited with code ${code}`;
      return failed("crashed", `the app ${how} while it was starting`, fixForCrash(text, code));
    }

    let probedHost = instance.record.host;
    const elapsed = performance.now() - began;
    const result = await probeReadiness(
      { host: probedHost, port, health },
      Math.ceil(Math.max(100, Math.min(5000, limits.healthTimeoutMs - elapsed))),
      signal,
    );
    if (result.ready) {
      // The answer has to be the app's own: somebody else may have taken the port between the pick and the app's listen.
      const listening = ownListeners(instance).some((listener) => listener.port === port);
      if (listening || process.platform !== "linux") {
        instance.learnApp();
        instance.save({ healthy: true, host: probedHost });
        return { kind: "healthy" };
      }
      lastAnswer = `another process answers on port ${port}`;
    }
    if (result.answer.kind === "status" && !result.ready)
      lastAnswer = `GET ${result.path} answers ${result.answer.status}`;
    if (result.answer.kind === "silent") lastAnswer = `GET ${result.path}: ${result.answer.reason}`;

    if (result.answer.kind === "refused" && performance.now() - lastScan > 250) {
      lastScan = performance.now();
      const listeners = ownListeners(instance);
      const own = listeners.find((listener) => listener.port === port);
      if (own?.family === "ipv6") {
        // `listen(port, "localhost")` may mean ::1 alone.
        probedHost = "::1";
        instance.record.host = probedHost;
      } else if (own) {
        otherSince = undefined;
      } else {
        const others = listeners.map((listener) => listener.port).filter((other) => !isInspector(other));
        if (others.length === 0) {
          otherSince = undefined;
          lastAnswer = `nothing listens on port ${port}`;
        } else {
          otherSince ??= performance.now();
          const atLimit = performance.now() - began >= limits.healthTimeoutMs;
          if (atLimit || performance.now() - otherSince >= limits.wrongPortAfterMs) {
            return failed(
              "wrong_port",
              `the app listens on port ${others.join(", ")}, not on PORT (${port})`,
              `listen on process.env.PORT, for example \`server.listen(process.env.PORT ?? ${others[0]})\``,
            );
          }
        }
      }
    }
    if (performance.now() - began >= limits.healthTimeoutMs) {
      return failed(
        "unhealthy",
        `the app was not healthy within ${limits.healthTimeoutMs / 1000} s: ${lastAnswer}`,
        lastAnswer.startsWith("nothing")
          ? "start an HTTP server on process.env.PORT"
          : "answer the health path (or /readyz, or /) with a status below 500 once the app is ready",
      );
    }
    await delay(pollMs);
  }
}

function ownListeners(instance: Instance) {
  return listenersOf(instance.members().map((entry) => entry.pid));
}

function fixForCrash(text: string, code: number | null): string {
  const missing = /Cannot find (?:module|package) '([^']+)'/.exec(text)?.[1];
  if (missing !== undefined) return `add \`${missing}\` to the dependencies or correct the import`;
  if (code === 127) return "the start command's program is not installed; correct `start` in package.json";
  if (code === 137) return "it was killed, perhaps for lack of memory";
  return "run the start command in the release's folder to see the error, correct it and deploy again";
}
