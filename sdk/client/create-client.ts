// Creates the typed client of an app: its types come from the contracts, and nothing of the server comes along.
import { isError } from "./client-error.ts";
import type { Client, StartOptions } from "./contracts.ts";
import { Pending } from "./pending.ts";
import { type CallOptions, type ClientOptions, type Send, sender } from "./request.ts";
import { runHandle, runsPath } from "./runs.ts";

const json = "application/json";

/**
 * Calls the procedures and workflows of `T`: a `typeof app` of `createApp`, a `typeof` list of procedures and workflows, or
 * the type of a module that exports them. Nothing is tried again by itself, except that the events of a run go on after a
 * connection broke. Calls reject with a ClientError, or with the reason of their signal.
 *
 * @example
 * const client = createClient<typeof app>({ baseUrl: "https://api.example.com", token: () => session.token });
 * const order = await client.orders.get({ orderId: "o1" });
 * for await (const { left } of client.countDown({ from: 3 })) console.log(left);
 */
export function createClient<T>(options: ClientOptions = {}): Client<T> {
  const send = sender(options);
  const call = (name: string, input?: unknown, own: CallOptions = {}) => callOf(send, name, input, own);
  const workflows = new Proxy(
    {},
    { get: (_, name) => (typeof name === "string" ? workflowOf(send, name) : undefined) },
  );
  const names = (prefix: string): unknown =>
    new Proxy(() => {}, {
      get(_, key) {
        // A client that is returned from an async function is asked whether it is a promise.
        if (typeof key !== "string" || key === "then") return undefined;
        if (key === "isError") return isError;
        return names(`${prefix}.${key}`);
      },
      apply: (_target, _this, [input, own]) => call(prefix, input, own),
    });
  return new Proxy({} as object, {
    get(_, key) {
      if (typeof key !== "string" || key === "then") return undefined;
      if (key === "call") return call;
      return key === "workflows" ? workflows : names(key);
    },
  }) as Client<T>;
}

function callOf(send: Send, name: string, input: unknown, own: CallOptions): Pending {
  const leave = new AbortController();
  const signal = own.signal ? AbortSignal.any([own.signal, leave.signal]) : leave.signal;
  const response = send({
    method: "POST",
    path: `/rpc/${encodeURIComponent(name)}`,
    body: input === undefined ? {} : input,
    accept: `${json}, text/event-stream;q=0.9, */*;q=0.5`,
    options: { ...own, signal },
  });
  return new Pending(response, own.signal, leave);
}

function workflowOf(send: Send, name: string) {
  const begin = async (input: unknown, wait: boolean, { runId, ...options }: StartOptions = {}) => {
    const query = new URLSearchParams(wait ? {} : { wait: "false" });
    if (runId !== undefined) query.set("runId", runId);
    const response = await send({
      method: "POST",
      path: `${runsPath(name)}?${query}`,
      body: input ?? {},
      accept: json,
      options,
    });
    return (await response.json()) as { runId: string; output?: unknown };
  };
  return {
    start: async (input: unknown, options?: StartOptions) =>
      runHandle(send, name, (await begin(input, false, options)).runId),
    execute: async (input: unknown, options?: StartOptions) => (await begin(input, true, options)).output,
    run: (runId: string) => runHandle(send, name, runId),
    async list(filter: Record<string, string | number> = {}, options?: CallOptions) {
      const query = new URLSearchParams();
      for (const [key, value] of Object.entries(filter)) query.set(key, String(value));
      const response = await send({ method: "GET", path: `${runsPath(name)}?${query}`, accept: json, options });
      return ((await response.json()) as { runs: unknown[] }).runs;
    },
  };
}
