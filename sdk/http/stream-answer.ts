// Stream answer: items as they come, as server-sent events where the client accepts them, else one JSON per line.
import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { TsdevError } from "../errors.ts";
import { createLog } from "../log.ts";
import { problemOf } from "./problem.ts";

/** How often an idle stream says that it is alive, milliseconds: proxies close one that is silent for a minute or so. */
const heartbeatMs = 15_000;
/** How long the answer's status waits for the first item, milliseconds: an error before it is a problem with its status. */
const firstItemMs = 1_000;

export interface StreamParts {
  encode: (item: unknown) => string;
  /** Aborted when the client leaves. */
  stop: AbortController | undefined;
  status?: number | undefined;
}

/**
 * Server-sent events carry an item each, then `event: end`, or `event: error` with a problem. Lines carry an item each; an
 * answer that fails is cut off, so that it is not taken for a whole one.
 */
export async function streamAnswer(c: Context, items: AsyncIterable<unknown>, parts: StreamParts): Promise<Response> {
  const iterator = items[Symbol.asyncIterator]();
  const first = iterator.next();
  // Its error is thrown here when it is quick, and told within the stream when it is not.
  first.catch(() => {});
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    first,
    new Promise((resolve) => {
      timer = setTimeout(resolve, firstItemMs);
    }),
  ]).finally(() => clearTimeout(timer));
  const format = acceptsEvents(c) ? events : lines;
  const body = new ReadableStream<Uint8Array>(sourceOf(iterator, first, format, parts), { highWaterMark: 0 });
  return c.body(body, (parts.status ?? 200) as ContentfulStatusCode, streamHeaders(format.type));
}

/** Headers that keep proxies from holding a stream back. */
export function streamHeaders(type: string): Record<string, string> {
  return { "content-type": type, "cache-control": "no-store", "x-accel-buffering": "no" };
}

export function acceptsEvents(c: Context): boolean {
  return (c.req.header("accept") ?? "").includes("text/event-stream");
}

/** What a ReadableStream is made of. */
type Source = NonNullable<ConstructorParameters<typeof ReadableStream<Uint8Array>>[0]> & { type?: undefined };

const encoder = new TextEncoder();

/** How a stream is written. */
interface Format {
  readonly type: string;
  /** `count` is that of the items up to this one. */
  item(json: string, count: number): string;
  /** Stands after the last item. */
  readonly end?: string;
  /** Tells of an error; without it the answer is cut off. */
  failure?(error: unknown): string;
  /** Says that an idle stream is alive. */
  readonly heartbeat?: string;
}

const lines: Format = { type: "application/x-ndjson", item: (json) => `${json}\n` };
const events: Format = {
  type: "text/event-stream",
  item: (data, id) => eventText({ id, data }),
  end: eventText({ event: "end", data: "" }),
  failure: (error) => eventText({ event: "error", data: JSON.stringify(problemOf(error)) }),
  heartbeat: ":\n\n",
};

function sourceOf(
  iterator: AsyncIterator<unknown>,
  first: Promise<IteratorResult<unknown>>,
  format: Format,
  { encode, stop }: StreamParts,
): Source {
  let next: Promise<IteratorResult<unknown>> | undefined = first;
  let count = 0;
  let left = false;
  let heartbeat: NodeJS.Timeout | undefined;
  return {
    start(controller) {
      const alive = format.heartbeat;
      if (alive === undefined) return;
      heartbeat = setInterval(() => controller.enqueue(encoder.encode(alive)), heartbeatMs).unref();
    },
    async pull(controller) {
      const write = (text: string) => controller.enqueue(encoder.encode(text));
      try {
        const { done, value } = await (next ?? iterator.next());
        next = undefined;
        if (left) return;
        if (!done) return write(format.item(encode(value), ++count));
        if (format.end !== undefined) write(format.end);
      } catch (error) {
        // What an aborted generator throws when nobody listens any more is no failure.
        if (left) return;
        report(error);
        // Another error: what adapters do with this one may reach the client.
        if (!format.failure) return controller.error(new Error("the stream failed"));
        write(format.failure(error));
      }
      clearInterval(heartbeat);
      controller.close();
    },
    cancel() {
      left = true;
      clearInterval(heartbeat);
      leave(iterator, stop);
    },
  };
}

/** One event as text. JSON has no line breaks of its own. */
export function eventText({ id, event, data }: { id?: number; event?: string; data: string }): string {
  return `${id === undefined ? "" : `id: ${id}\n`}${event === undefined ? "" : `event: ${event}\n`}data: ${data}\n\n`;
}

function leave(iterator: AsyncIterator<unknown>, stop: AbortController | undefined): void {
  stop?.abort(new TsdevError("canceled", { message: "the client left", fix: "ask again" }));
  // A generator that is waiting returns only when what it waits for is over: nobody waits for that here.
  iterator.return?.()?.then(undefined, () => {});
}

function report(error: unknown): void {
  if (TsdevError.is(error) && error.status < 500) return;
  createLog({ component: "tsdev-http" }).error("a stream failed", { error });
}
