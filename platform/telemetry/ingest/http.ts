// OTLP over HTTP, as the specification has it, and recordings: the answer comes after the rows are stored.
import { promisify } from "node:util";
import { gunzip, inflate } from "node:zlib";
import { type Context, Hono } from "hono";
import { TsdevError } from "../../../sdk/errors.ts";
import type { TelemetryStore } from "../clickhouse.ts";
import { type Encoding, Ingest, type IngestResult, MalformedBody } from "./ingest.ts";
import { encodeFields } from "./protobuf.ts";
import type { Tenant } from "./tables.ts";

/** Largest body, also after decompression: the Collector's own default. */
const bodyLimit = 20 * 1024 * 1024;

const unpack = {
  gzip: promisify(gunzip),
  deflate: promisify(inflate),
} as const;

/** google.rpc.Code by HTTP status. */
const rpcCodes: Record<number, number> = { 400: 3, 401: 16, 404: 5, 413: 8, 415: 3, 429: 8, 500: 13, 503: 14 };

export interface TelemetryHttpOptions {
  store: TelemetryStore;
  /** Whose data a request brings, by its Authorization header; null refuses it. */
  authenticate(authorization: string | undefined): Promise<Tenant | null>;
}

/** The routes POST /v1/traces, /v1/logs, /v1/metrics (which are refused, truthfully) and /v1/recordings. */
export function telemetryHttp(options: TelemetryHttpOptions): Hono {
  const ingest = new Ingest(options.store);
  const app = new Hono();
  const route = (
    path: string,
    rejectedField: string,
    take: (body: Buffer, encoding: Encoding, tenant: Tenant) => Promise<IngestResult> | IngestResult,
  ) => {
    app.post(path, async (context) => {
      const encoding = encodingOf(context);
      try {
        const tenant = await options.authenticate(context.req.header("authorization"));
        if (tenant === null) throw new Refusal(401, "the Authorization header has no token that is known");
        if (encoding === null) {
          throw new Refusal(415, "send application/x-protobuf or application/json");
        }
        return success(context, encoding, rejectedField, await take(await readBody(context), encoding, tenant));
      } catch (error) {
        return failure(context, encoding ?? "json", error);
      }
    });
  };
  route("/v1/traces", "rejectedSpans", (body, encoding, tenant) => ingest.traces(body, encoding, tenant));
  route("/v1/logs", "rejectedLogRecords", (body, encoding, tenant) => ingest.logs(body, encoding, tenant));
  route("/v1/metrics", "rejectedDataPoints", (body, encoding) => ingest.metrics(body, encoding));
  app.post("/v1/recordings", async (context) => {
    try {
      const tenant = await options.authenticate(context.req.header("authorization"));
      if (tenant === null) throw new Refusal(401, "the Authorization header has no token that is known");
      if (encodingOf(context) !== "json") throw new Refusal(415, "send application/json");
      return context.json(await ingest.recordings(await readBody(context), tenant));
    } catch (error) {
      return failure(context, "json", error);
    }
  });
  return app;
}

class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

function encodingOf(context: Context): Encoding | null {
  const type = context.req.header("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (type === "application/x-protobuf") return "protobuf";
  return type === "application/json" ? "json" : null;
}

async function readBody(context: Context): Promise<Buffer> {
  const packed = await readLimited(context.req.raw);
  const coding = context.req.header("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (coding === "identity" || coding === "") return packed;
  if (coding !== "gzip" && coding !== "deflate") throw new Refusal(415, "send Content-Encoding gzip, deflate or none");
  try {
    return await unpack[coding](packed, { maxOutputLength: bodyLimit });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
    throw new Refusal(400, `the body is not ${coding}`);
  }
}

async function readLimited(request: Request): Promise<Buffer> {
  if (Number(request.headers.get("content-length") ?? 0) > bodyLimit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > bodyLimit) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): Refusal {
  return new Refusal(413, `the body is larger than ${bodyLimit / 1024 / 1024} MiB; send smaller batches`);
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
  const [status, message] = explain(error);
  if (status === 429 || status === 503) context.header("Retry-After", "1");
  if (status === 401) context.header("WWW-Authenticate", "Bearer");
  const code = rpcCodes[status] ?? 2;
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

function explain(error: unknown): [status: number, message: string] {
  if (error instanceof Refusal) return [error.status, error.message];
  if (error instanceof MalformedBody) return [400, `the body cannot be decoded: ${error.message}`];
  const known = TsdevError.from(error);
  // What went wrong on our side may pass: a sender keeps its data and tries again.
  if (known.code === "internal") return [503, "the telemetry could not be taken; send it again in a moment"];
  return [known.status, `${known.message}; ${known.fix}`];
}

function protobuf(context: Context, status: number, body: Buffer): Response {
  context.status(status as 200);
  context.header("Content-Type", "application/x-protobuf");
  return context.body(new Uint8Array(body));
}
