// Body tap: a copy of the first bytes of a stream, taken while it flows to whoever reads it.
import type { Readable } from "node:stream";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import { digestLimit } from "./recording.ts";

/** What has flowed so far, up to a limit of bytes. */
export class BodyTap {
  readonly #limit: number;
  #chunks: Buffer[] = [];
  #kept = 0;

  constructor(limit = digestLimit) {
    this.#limit = limit;
  }

  /** Bytes that flowed in all. */
  length = 0;
  /** Whether the end was seen. */
  ended = false;

  write(chunk: unknown, encoding?: BufferEncoding): void {
    const bytes = bytesOf(chunk, encoding);
    if (!bytes) return;
    this.length += bytes.byteLength;
    const room = this.#limit - this.#kept;
    if (room <= 0) return;
    // A copy: the sender may fill its buffer again.
    const part = Buffer.from(bytes.subarray(0, room));
    this.#chunks.push(part);
    this.#kept += part.byteLength;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  /** Whether `bytes` is less than what flowed, or flowing has not ended. */
  get truncated(): boolean {
    return !this.ended || this.length > this.#kept;
  }
}

function bytesOf(chunk: unknown, encoding?: BufferEncoding): Uint8Array | undefined {
  if (typeof chunk === "string") return Buffer.from(chunk, encoding);
  return chunk instanceof Uint8Array ? chunk : undefined;
}

/**
 * Sees each chunk as the parser hands it over. A `data` listener would set the stream flowing, and a wrapped `read` would
 * miss readers that do not use it.
 */
export function tapIncoming(stream: Readable, limit: number, ended?: () => void): BodyTap {
  const tap = new BodyTap(limit);
  const { push } = stream;
  stream.push = function tappedPush(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk === null) {
      tap.ended = true;
      ended?.();
    } else tap.write(chunk, encoding);
    return push.call(stream, chunk, encoding);
  };
  return tap;
}

/** The bytes without their content encoding; undefined when it is not known or they are not whole. */
export function decodedBytes(encoding: string | undefined, bytes: Uint8Array): Uint8Array | undefined {
  const options = { maxOutputLength: digestLimit };
  try {
    switch (encoding?.trim().toLowerCase() || "identity") {
      case "identity":
        return bytes;
      case "gzip":
      case "x-gzip":
        return gunzipSync(bytes, options);
      case "deflate":
        return inflateSync(bytes, options);
      case "br":
        return brotliDecompressSync(bytes, options);
      default:
        return undefined;
    }
  } catch {
    return undefined;
  }
}
