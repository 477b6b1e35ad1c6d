// Client of the HTTP API: calls operations, follows streams, and turns every failure into one kind of error.
import { EventSourceParserStream } from "eventsource-parser/stream";
import type { ErrorShape, Reads, Streams, Writes } from "./types.ts";

const face = { "x-tsdev-face": "dashboard" };

/** What the API answers when it does not do what was asked: what was wrong and what to do. */
export class ApiError extends Error {
  readonly code: string;
  readonly fix: string;

  constructor({ code, message, fix }: ErrorShape) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.fix = fix;
  }

  static from(thrown: unknown): ApiError {
    if (thrown instanceof ApiError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new ApiError({ code: "internal", message, fix: "reload the page" });
  }
}

const unreachable = () =>
  new ApiError({
    code: "unavailable",
    message: "the platform does not answer",
    fix: "see whether it runs: `npx tsdev serve`",
  });

async function request(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}`, init);
  } catch (cause) {
    if (init.signal?.aborted) throw cause;
    throw unreachable();
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => null)) as { error?: ErrorShape } | null;
  if (body?.error) throw new ApiError(body.error);
  throw response.status >= 502
    ? unreachable()
    : new ApiError({ ...unreachable(), code: "internal", message: `the platform answered ${response.status}` });
}

const pathOf = (operation: string) => operation.replaceAll(".", "/");

function queryOf(input: object): string {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(input)) {
    if (value !== undefined) query.set(key, typeof value === "string" ? value : JSON.stringify(value));
  }
  return query.size > 0 ? `?${query}` : "";
}

export async function read<Name extends keyof Reads & string>(
  operation: Name,
  input: Reads[Name]["input"],
  signal?: AbortSignal,
): Promise<Reads[Name]["output"]> {
  const response = await request(pathOf(operation) + queryOf(input), { headers: face, signal: signal ?? null });
  return response.json();
}

async function post(path: string, input: object): Promise<Response> {
  return request(path, {
    method: "POST",
    headers: { ...face, "content-type": "application/json" },
    body: JSON.stringify(input),
  });
}

export async function write<Name extends keyof Writes & string>(
  operation: Name,
  input: Writes[Name]["input"],
): Promise<Writes[Name]["output"]> {
  return (await post(pathOf(operation), input)).json();
}

/** Turns the code of a login link into a session cookie. */
export async function logIn(code: string): Promise<void> {
  await post("sessions", { code });
}

/** Values of a stream until it ends or the signal aborts; throws when it breaks. */
export async function* follow<Name extends keyof Streams & string>(
  operation: Name,
  input: Streams[Name]["input"],
  signal: AbortSignal,
): AsyncGenerator<Streams[Name]["value"]> {
  const headers = { ...face, accept: "text/event-stream" };
  const { body } = await request(pathOf(operation) + queryOf(input), { headers, signal });
  if (!body) return;
  const reader = body
    .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array<ArrayBuffer>, string>)
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  try {
    for (;;) {
      const { done, value: event } = await reader.read();
      if (done) throw unreachable();
      if (event.event === "end") return;
      const data: unknown = JSON.parse(event.data);
      if (event.event === "error") throw new ApiError((data as { error: ErrorShape }).error);
      if (event.event === "value") yield data as Streams[Name]["value"];
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
