// Runs: workflows over HTTP, as the client starts, follows and controls them.
import type { RunEvent } from "../engine/run-event.ts";
import { ClientError, errorOf } from "./client-error.ts";
import type { Jsonify } from "./jsonify.ts";
import { readEvents } from "./read-events.ts";
import { away, type CallOptions, type Send } from "./request.ts";

export interface RunInfo<Output> {
  readonly runId: string;
  readonly workflow: string;
  readonly version: string;
  readonly state: "queued" | "running" | "waiting" | "paused" | "done" | "failed" | "canceled";
  /** Not there when nobody was known. */
  readonly startedBy?: string;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly finishedSteps: readonly string[];
  /** Only when done. */
  readonly output?: Output;
  /** Only when failed or canceled. */
  readonly error?: { readonly code: string; readonly message: string; readonly fix: string };
}

export interface FollowOptions {
  /** Goes on after the event of this number. Default 0: from the beginning. */
  after?: number;
  signal?: AbortSignal;
}

/** One run. Every method but `events` rejects with a ClientError. */
export interface RunHandle<Output> {
  readonly runId: string;
  status(options?: CallOptions): Promise<RunInfo<Output>>;
  /** The output; rejects with the error of a run that failed or was canceled. */
  wait(options?: { signal?: AbortSignal }): Promise<Output>;
  /** Its life until the end. A connection that breaks is made again, at whichever instance, without a gap or a repeat. */
  events(options?: FollowOptions): AsyncIterable<Jsonify<RunEvent>>;
  cancel(options?: CallOptions & { reason?: string }): Promise<{ runId: string; canceled: boolean }>;
  pause(options?: CallOptions): Promise<void>;
  resume(options?: CallOptions): Promise<void>;
  /** From the node that failed, or from `from` on. */
  retry(options?: CallOptions & { from?: string }): Promise<void>;
  /** Another run with the same input. */
  rerun(options?: CallOptions & { runId?: string }): Promise<RunHandle<Output>>;
  /** Answers an `.approve` node, named by its path. */
  approve(node: string, answer: { approved: boolean; comment?: string }, options?: CallOptions): Promise<void>;
}

const json = "application/json";
const firstPauseMs = 250;
const longestPauseMs = 10_000;

export function runHandle<Output>(send: Send, workflow: string, runId: string): RunHandle<Output> {
  const path = `${runsPath(workflow)}/${encodeURIComponent(runId)}`;
  const post = async (verb: string, body: unknown, options?: CallOptions) => {
    const response = await send({ method: "POST", path: `${path}/${verb}`, body, accept: json, options });
    return (await response.json()) as { runId: string; canceled: boolean };
  };
  const handle: RunHandle<Output> = {
    runId,
    status: async (options) =>
      (await (await send({ method: "GET", path, accept: json, options })).json()) as RunInfo<Output>,
    async wait({ signal } = {}) {
      for await (const _ of handle.events(signal ? { signal } : {}));
      const run = await handle.status(signal ? { signal } : {});
      if (run.state === "done") return run.output as Output;
      throw errorOf({ ...run.error, runId }, 0);
    },
    events: (options = {}) => follow(send, `${path}/events`, options),
    cancel: ({ reason, ...options } = {}) => post("cancel", reason === undefined ? {} : { reason }, options),
    pause: async (options) => void (await post("pause", {}, options)),
    resume: async (options) => void (await post("resume", {}, options)),
    retry: async ({ from, ...options } = {}) => void (await post("retry", from === undefined ? {} : { from }, options)),
    async rerun({ runId: named, ...options } = {}) {
      const begun = await post("rerun", named === undefined ? {} : { runId: named }, options);
      return runHandle(send, workflow, begun.runId);
    },
    approve: async (node, answer, options) =>
      void (await post(`approvals/${encodeURIComponent(node)}`, answer, options)),
  };
  return handle;
}

export function runsPath(workflow: string): string {
  return `/workflows/${encodeURIComponent(workflow)}/runs`;
}

const ends = new Set(["run.done", "run.failed", "run.canceled"]);

async function* follow(
  send: Send,
  path: string,
  { after = 0, signal }: FollowOptions,
): AsyncGenerator<Jsonify<RunEvent>, void> {
  let last = after;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    try {
      const options: CallOptions = { headers: { "last-event-id": String(last) }, ...(signal ? { signal } : {}) };
      const response = await send({ method: "GET", path, accept: "text/event-stream", options });
      if (response.status === 204) return;
      for await (const { event, data } of readEvents(response)) {
        if (event === "error") throw errorOf(JSON.parse(data), 0);
        const one = JSON.parse(data) as Jsonify<RunEvent>;
        if (one.seq <= last) continue;
        last = one.seq;
        pauseMs = firstPauseMs;
        yield one;
        if (ends.has(one.type)) return;
      }
    } catch (error) {
      const told = away(error, signal);
      // What the server says no to it will say no to again.
      const passes = told instanceof ClientError && (told.status === 0 || told.status === 429 || told.status >= 500);
      if (!passes || signal?.aborted) throw told;
    }
    await rest(pauseMs, signal);
  }
}

function rest(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
