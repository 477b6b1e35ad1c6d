// A constant load through the router: requests at a fixed rate whatever the answers do, half on kept-alive connections, a third POST and slow: a router may repeat a GET, never a POST.
import { Agent, request } from "node:http";

export interface Load {
  sent: number;
  failures: string[];
  /** Stops sending and waits for what is under way. */
  stop(): Promise<void>;
}

export function startLoad(url: string, host: string, perSecond: number): Load {
  const { port } = new URL(url);
  const kept = new Agent({ keepAlive: true });
  const open = new Set<Promise<void>>();
  const load: Load = {
    sent: 0,
    failures: [],
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      kept.destroy();
    },
  };
  const one = (number: number) =>
    new Promise<void>((resolve) => {
      const post = number % 3 === 0;
      const body = post ? "x".repeat(1000 + (number % 7) * 10_000) : undefined;
      const fail = (why: string) => {
        load.failures.push(`${post ? "POST" : "GET"} ${number % 2 === 0 ? "kept" : "new"}: ${why}`);
        resolve();
      };
      const asked = request(
        {
          ...{ host: "127.0.0.1", port, method: post ? "POST" : "GET", agent: number % 2 === 0 ? kept : false },
          ...{ path: `/?ms=${post ? 40 + (number % 100) : number % 4 === 0 ? number % 120 : 0}`, headers: { host } },
        },
        (response) => {
          let text = "";
          response.on("data", (chunk) => (text += chunk));
          response.on("error", (error) => fail(error.message));
          response.on("end", () => {
            if (response.statusCode !== 200) return fail(`${response.statusCode} ${text}`);
            if (JSON.parse(text).bytes !== (body?.length ?? 0)) return fail("the body did not arrive whole");
            resolve();
          });
        },
      );
      asked.on("error", (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
      asked.end(body);
    });
  const timer = setInterval(() => {
    const promise = one(load.sent++);
    open.add(promise);
    void promise.then(() => open.delete(promise));
  }, 1000 / perSecond);
  return load;
}
