// Driver: sends a recorded request to one side and takes the whole answer, with the time it took.
import { randomBytes } from "node:crypto";
import { Agent, request as httpRequest } from "node:http";
import type { RequestRecording } from "../../platform/telemetry/recording.ts";

export interface Answer {
  /** 0 when there was no answer: the connection was refused or broke. */
  status: number;
  headers: Record<string, string>;
  body: Buffer;
  ms: number;
}

/** Belong to one connection or one delivery, not to the request. */
const dropped = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "traceparent",
  "tracestate",
  "transfer-encoding",
  "upgrade",
  "x-tsdev-replay-time",
  "x-tsdev-request-id",
]);

export interface Driver {
  /** `requestId` is what the tracing hook seeds random numbers with: the same on both sides. */
  send(recording: RequestRecording, ids: { traceId: string; requestId: string }): Promise<Answer>;
  close(): void;
}

export const newTraceId = (): string => randomBytes(16).toString("hex");

export function createDriver(port: number, limitMs: number, signal: AbortSignal): Driver {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    send(recording, { traceId, requestId }) {
      const headers: Record<string, string> = {
        host: `127.0.0.1:${port}`,
        traceparent: `00-${traceId}-${randomBytes(8).toString("hex")}-01`,
        "x-tsdev-request-id": requestId,
        // Where the hook is deterministic, the app's clock is at the time of the recording.
        "x-tsdev-replay-time": String(Math.trunc(recording.time)),
      };
      for (const [name, value] of Object.entries(recording.headers)) {
        if (!dropped.has(name.toLowerCase())) headers[name] = value;
      }
      const body = Buffer.from(recording.body.text, recording.body.base64 ? "base64" : "utf8");
      const hasBody = body.length > 0 || !["GET", "HEAD", "DELETE", "OPTIONS"].includes(recording.method);
      if (hasBody) headers["content-length"] = String(body.length);
      const started = performance.now();
      return new Promise((settle) => {
        const failed = (text: string) =>
          settle({ status: 0, headers: {}, body: Buffer.from(text), ms: performance.now() - started });
        const sent = httpRequest(
          {
            host: "127.0.0.1",
            port,
            method: recording.method,
            path: recording.path,
            headers,
            agent,
            signal,
            timeout: limitMs,
          },
          (response) => {
            const chunks: Buffer[] = [];
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            response.on("error", (error) => failed(error.message));
            response.on("end", () =>
              settle({
                status: response.statusCode ?? 0,
                headers: Object.fromEntries(
                  Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
                ),
                body: Buffer.concat(chunks),
                ms: performance.now() - started,
              }),
            );
          },
        );
        sent.on("timeout", () => sent.destroy(new Error(`no answer in ${limitMs} ms`)));
        sent.on("error", (error) => failed(error.message));
        sent.end(hasBody ? body : undefined);
      });
    },
    close: () => agent.destroy(),
  };
}
