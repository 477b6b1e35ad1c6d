// Answer: the output of a procedure as a response: JSON, a file, bytes, a stream, or nothing.
import type { Context } from "hono";
import type { ContentfulStatusCode, StatusCode } from "hono/utils/http-status";
import type { AnyProcedure } from "../procedures/procedure.ts";
import { itemOf } from "../procedures/stream.ts";
import { encoderOf } from "./json.ts";
import { streamAnswer } from "./stream-answer.ts";

const json = { "content-type": "application/json" };

/** `stop` is aborted when the client leaves in the middle of a stream. */
export type Answer = (c: Context, output: unknown, stop: AbortController | undefined) => Response | Promise<Response>;

/** The answers of one procedure; `status` is that of a success. */
export function answersOf(procedure: AnyProcedure, status?: number): Answer {
  const item = itemOf(procedure.output);
  if (item) {
    const encode = encoderOf(item);
    return (c, output, stop) => streamAnswer(c, output as AsyncIterable<unknown>, { encode, stop, status });
  }
  const encode = encoderOf(procedure.output);
  const done = (status ?? 200) as ContentfulStatusCode;
  return (c, output) => {
    if (output === undefined) return c.body(null, (status ?? 204) as StatusCode);
    if (output instanceof Blob || output instanceof Uint8Array) return fileAnswer(c, output, done);
    return c.body(encode(output), done, json);
  };
}

function fileAnswer(c: Context, output: Blob | Uint8Array, status: ContentfulStatusCode): Response {
  const blob = output instanceof Blob ? output : undefined;
  const headers: Record<string, string> = {
    "content-type": blob?.type || "application/octet-stream",
    "content-length": String(blob ? blob.size : (output as Uint8Array).byteLength),
    // A browser must not take a file for a page of this origin.
    "x-content-type-options": "nosniff",
  };
  if (output instanceof File) headers["content-disposition"] = disposition(output.name);
  return c.body(blob ? blob.stream() : (output as Uint8Array<ArrayBuffer>), status, headers);
}

/** RFC 6266: a name in ASCII for those who know no other, and the whole one as RFC 8187 writes it. */
function disposition(name: string): string {
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/g, "_");
  const whole = encodeURIComponent(name).replace(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${whole}`;
}
