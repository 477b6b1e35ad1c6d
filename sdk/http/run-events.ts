// Run events: the life of a run as server-sent events, resumable by Last-Event-ID at whichever instance.
import type { Context } from "hono";
import type { Engine } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import { toJson } from "./json.ts";
import { problemOf } from "./problem.ts";
import { eventText, streamHeaders } from "./stream-answer.ts";
import { withToldError } from "./told-error.ts";

export const heartbeatMs = 15_000;

const encoder = new TextEncoder();

/**
 * Each event is a message with the number within the run as its id, and its JSON as data; the answer ends after the run's
 * end. A client that comes back with the number of the last event gets 204: by the HTML standard an EventSource then stops
 * to ask. `stopping` ends the answer as well, so that the client goes on at another instance.
 */
export async function runEventsAnswer(
  c: Context,
  engine: Engine,
  runId: string,
  parts: { ended: boolean; stopping: AbortSignal },
): Promise<Response> {
  const after = lastEventId(c);
  const leave = new AbortController();
  const signal = AbortSignal.any([c.req.raw.signal, leave.signal, parts.stopping]);
  const iterator = engine.events(runId, { after, signal })[Symbol.asyncIterator]();
  let next = parts.ended ? Promise.resolve(await iterator.next()) : iterator.next();
  // Its error is told within the stream, whenever that is read.
  next.catch(() => {});
  if (parts.ended && after > 0 && (await next).done) return c.body(null, 204);
  let heartbeat: NodeJS.Timeout | undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        controller.enqueue(encoder.encode(":\n\n"));
        heartbeat = setInterval(() => controller.enqueue(encoder.encode(":\n\n")), heartbeatMs).unref();
      },
      async pull(controller) {
        try {
          const { done, value } = await next;
          if (!done) {
            controller.enqueue(encoder.encode(eventText({ id: value.seq, data: toJson(withToldError(value)) })));
            next = iterator.next();
            next.catch(() => {});
            return;
          }
        } catch (error) {
          if (!signal.aborted) {
            controller.enqueue(encoder.encode(eventText({ event: "error", data: JSON.stringify(problemOf(error)) })));
          }
        }
        clearInterval(heartbeat);
        controller.close();
      },
      cancel() {
        clearInterval(heartbeat);
        leave.abort();
        iterator.return?.()?.then(undefined, () => {});
      },
    },
    { highWaterMark: 0 },
  );
  return c.body(body, 200, streamHeaders("text/event-stream"));
}

/** The header of a browser that comes back; `?after=` for those who cannot set it. */
function lastEventId(c: Context): number {
  const text = c.req.header("last-event-id") ?? c.req.query("after") ?? "0";
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new TsdevError("invalid_input", {
    message: "Last-Event-ID is not the number of an event",
    fix: "send the id of the last event, or leave it out",
    path: "after",
  });
}
