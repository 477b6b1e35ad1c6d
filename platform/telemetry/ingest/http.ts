// OTLP over HTTP, as the specification has it, and recordings: the answer comes after the rows are stored.
import type { IncomingMessage } from "node:http";
import { type Context, Hono } from "hono";
import { refusal } from "./answer.ts";
import type { Encoding, Ingest, IngestResult } from "./ingest.ts";
import { encodeFields } from "./protobuf.ts";
import { BodyRefused, RequestBodies } from "./request-body.ts";
import type { Tenant } from "./tables.ts";

export interface TelemetryHttpOptions {
  ingest: Ingest;
  /** Whose data a request brings, by its Authorization header; null refuses it. */
  authenticate(authorization: string | undefined): Promise<Tenant | null>;
}

/** The routes POST /v1/traces, /v1/logs, /v1/metrics and /v1/recordings. */
export function telemetryHttp({ ingest, authenticate }: TelemetryHttpOptions): Hono {
  const app = new Hono();
  const bodies = new RequestBodies();
  const route = (
    path: string,
    rejectedField: string | null,
    take: (body: Buffer, encoding: Encoding, tenant: Tenant) => Promise<IngestResult>,
  ) => {
    app.post(path, async (context) => {
      const encoding = encodingOf(context);
      try {
        const tenant = await authenticate(context.req.header("authorization"));
        if (tenant === null) throw new BodyRefused(401, "the Authorization header has no token that is known");
        if (encoding === null || (rejectedField === null && encoding !== "json")) {
          const types = rejectedField === null ? "application/json" : "application/x-protobuf or application/json";
          throw new BodyRefused(415, `send Content-Type ${types}`);
        }
        const headers = {
          length: context.req.header("content-length"),
          coding: context.req.header("content-encoding"),
        };
        const result = await bodies.read(sourceOf(context), headers, (body) => take(body, encoding, tenant));
        return rejectedField === null ? context.json(result) : success(context, encoding, rejectedField, result);
      } catch (error) {
        return failure(context, encoding ?? "json", error);
      }
    });
    app.all(path, (context) => {
      context.header("Allow", "POST");
      return failure(context, "json", new BodyRefused(405, `${path} takes POST`));
    });
  };
  route("/v1/traces", "rejectedSpans", (body, encoding, tenant) => ingest.traces(body, encoding, tenant));
  route("/v1/logs", "rejectedLogRecords", (body, encoding, tenant) => ingest.logs(body, encoding, tenant));
  route("/v1/metrics", "rejectedDataPoints", (body, encoding, tenant) => ingest.metrics(body, encoding, tenant));
  route("/v1/recordings", null, (body, _encoding, tenant) => ingest.recordings(body, tenant));
  return app;
}

/** The request's own stream where Node serves it: a stream of the web costs a multiple for each piece. */
function sourceOf(context: Context): AsyncIterable<Uint8Array> | IncomingMessage {
  const { incoming } = (context.env ?? {}) as { incoming?: IncomingMessage };
  return incoming ?? context.req.raw.body ?? nothing();
}

async function* nothing(): AsyncIterable<Uint8Array> {}

function encodingOf(context: Context): Encoding | null {
  const type = context.req.header("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type === "application/x-protobuf") return "protobuf";
  return type === "application/json" ? "json" : null;
}

function success(context: Context, encoding: Encoding, rejectedField: string, result: IngestResult): Response {
  const partial = result.rejected > 0 || result.reason !== "";
  if (encoding === "json") {
    // 64-bit integers are texts in protobuf's JSON.
    const body = { [rejectedField]: String(result.rejected), errorMessage: result.reason };
    return context.json(partial ? { partialSuccess: body } : {});
  }
  const inner: Array<[number, number | string]> = [
    [1, result.rejected],
    [2, result.reason],
  ];
  return protobuf(context, 200, partial ? encodeFields([[1, encodeFields(inner)]]) : Buffer.alloc(0));
}

function failure(context: Context, encoding: Encoding, error: unknown): Response {
  const { status, code, message, retryAfterS } = refusal(error);
  if (retryAfterS !== undefined) context.header("Retry-After", String(retryAfterS));
  if (status === 401) context.header("WWW-Authenticate", "Bearer");
  if (encoding === "json") {
    context.status(status as 400);
    return context.json({ code, message });
  }
  const fields: Array<[number, number | string]> = [
    [1, code],
    [2, message],
  ];
  return protobuf(context, status, encodeFields(fields));
}

function protobuf(context: Context, status: number, body: Buffer): Response {
  context.status(status as 200);
  context.header("Content-Type", "application/x-protobuf");
  return context.body(new Uint8Array(body));
}
