// For tests: an open-loop request loop, half on kept-alive and half on new connections, some POST, some slow.
import { Agent, request } from "node:http";

const limitMs = 60_000;
const tickMs = 5;

export interface Answered {
  /** When the request was sent, by `performance.now()`. */
  sent: number;
  version: string;
}

export interface RequestLoop {
  readonly sent: number;
  readonly failures: string[];
  readonly answered: Answered[];
  /** Stops sending and waits for what is under way. */
  stop(): Promise<void>;
}

/** Sends `perSecond` requests whatever the answers do: one that is late does not hold up the next. */
export function startRequestLoop(routerUrl: string, host: string, perSecond: number): RequestLoop {
  const { port } = new URL(routerUrl);
  const kept = new Agent({ keepAlive: true });
  const open = new Set<Promise<void>>();
  const began = performance.now();
  let sent = 0;
  const failures: string[] = [];
  const answered: Answered[] = [];

  const one = (number: number) =>
    new Promise<void>((resolve) => {
      const post = number % 3 === 0;
      // a POST must never be repeated by a router, so the slow ones are in flight whenever a version is switched
      const ms = number % 20 === 0 ? 1500 : post ? 40 + (number % 100) : 0;
      const body = post ? "x".repeat(1000 + (number % 7) * 10_000) : undefined;
      const at = performance.now();
      const fail = (why: string) => {
        const second = ((performance.now() - began) / 1000).toFixed(2);
        failures.push(`${second} s: ${post ? "POST" : "GET"} ${number % 2 === 0 ? "kept" : "new"} ${ms} ms: ${why}`);
        resolve();
      };
      const asked = request(
        {
          host: "127.0.0.1",
          port,
          method: post ? "POST" : "GET",
          agent: number % 2 === 0 ? kept : false,
          path: `/?ms=${ms}`,
          headers: { host },
          timeout: limitMs,
        },
        (response) => {
          let text = "";
          response.on("data", (chunk) => (text += chunk));
          response.on("error", (error) => fail(error.message));
          response.on("end", () => {
            if (response.statusCode !== 200) return fail(`${response.statusCode} ${text}`);
            const { version, bytes } = JSON.parse(text) as { version: string; bytes: number };
            if (bytes !== (body?.length ?? 0)) return fail("the body did not arrive whole");
            answered.push({ sent: at, version });
            resolve();
          });
        },
      );
      asked.on("timeout", () => asked.destroy(new Error("no answer")));
      asked.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
      asked.end(body);
    });

  const timer = setInterval(() => {
    // by the clock, so that a late tick sends what it owes
    while (sent < ((performance.now() - began) / 1000) * perSecond) {
      const promise = one(sent++);
      open.add(promise);
      void promise.then(() => open.delete(promise));
    }
  }, tickMs);

  return {
    get sent() {
      return sent;
    },
    failures,
    answered,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      kept.destroy();
    },
  };
}
