// One request of a copy: what the receiver said, and whether the same may come again.
import * as http from "node:http";
import * as https from "node:https";
import { AddressRefused, checkHost, guardedLookup } from "./guarded-lookup.ts";

/** OTLP's retryable statuses (https://opentelemetry.io/docs/specs/otlp/#failures). */
const retryable = new Set([429, 502, 503, 504]);
const timeoutMs = 10_000;
const longestRetryAfterMs = 60_000;

export interface ForwardRequest {
  url: string;
  headers: Record<string, string>;
  body: Buffer;
  allowLinkLocal: boolean;
  signal: AbortSignal;
}

/** It may be taken later. */
export class ReceiverAway extends Error {
  override name = "ReceiverAway";
  readonly retryAfterMs: number;
  constructor(message: string, retryAfterMs = 0) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** It is never taken. */
export class ReceiverRefused extends Error {
  override name = "ReceiverRefused";
}

/** Resolves when the receiver took it. Throws ReceiverAway, ReceiverRefused or AddressRefused. Redirects are refused. */
export function forwardOnce({ url, headers, body, allowLinkLocal, signal }: ForwardRequest): Promise<void> {
  const target = new URL(url);
  if (!allowLinkLocal) checkHost(target.hostname);
  const { request } = target.protocol === "https:" ? https : http;
  return new Promise((done, failed) => {
    const away = (error: Error) =>
      failed(error instanceof AddressRefused ? error : new ReceiverAway(`${target.host}: ${error.message}`));
    const sent = request(
      target,
      {
        method: "POST",
        headers: { ...headers, "content-length": body.byteLength },
        timeout: timeoutMs,
        signal,
        ...(allowLinkLocal ? {} : { lookup: guardedLookup }),
      },
      (answer) => {
        answer.resume();
        answer.on("error", away);
        answer.on("end", () => {
          const status = answer.statusCode ?? 0;
          if (status >= 200 && status < 300) done();
          else if (retryable.has(status)) {
            failed(new ReceiverAway(`${target.host} answered ${status}`, retryAfterMs(answer.headers["retry-after"])));
          } else failed(new ReceiverRefused(`${target.host} answered ${status}`));
        });
      },
    );
    sent.on("timeout", () => sent.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    sent.on("error", away);
    sent.end(body);
  });
}

/** Seconds or a date, as RFC 9110 has it. */
function retryAfterMs(text: string | undefined): number {
  if (text === undefined) return 0;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), longestRetryAfterMs) : 0;
}
