// Reads the body of a request and unpacks it, within a limit for one and a limit for all that are held at once.
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip, inflate, type ZlibOptions, zstdDecompress } from "node:zlib";
import { TsdevError } from "../../../sdk/errors.ts";

/** Largest body, also after decompression: the Collector's own default for HTTP. */
export const bodyLimit = 20 * 1024 * 1024;

/** Most bytes of bodies that are held at once; past it senders are told to come back. */
const heldLimit = 256 * 1024 * 1024;

/** Bodies that are unpacked at once: a bomb of some kilobytes holds the whole limit while it is unpacked. */
const unpackingLimit = 8;

type Unpack = (packed: Buffer, options: ZlibOptions) => Promise<Buffer>;
const codings: Record<string, Unpack> = {
  gzip: promisify<Buffer, ZlibOptions, Buffer>(gunzip),
  deflate: promisify<Buffer, ZlibOptions, Buffer>(inflate),
  zstd: promisify<Buffer, ZlibOptions, Buffer>(zstdDecompress as never),
};

/** A body that is refused, with the HTTP status for it. */
export class BodyRefused extends Error {
  override name = "BodyRefused";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The bodies of all requests. */
export class RequestBodies {
  #held = 0;
  #unpacking = 0;
  readonly #turns: Array<() => void> = [];

  /**
   * Gives `work` the body as it was before it was packed, and holds it until `work` is done. Throws `BodyRefused` with 413
   * where it is too large, 415 where its coding is not known and 400 where it is not in that coding; `unavailable` where
   * too much is held.
   */
  async read<T>(
    source: AsyncIterable<Uint8Array> | IncomingMessage,
    headers: { length: string | undefined; coding: string | undefined },
    work: (body: Buffer) => Promise<T>,
  ): Promise<T> {
    const coding = headers.coding?.trim().toLowerCase() || "identity";
    const unpack = coding === "identity" ? undefined : codings[coding];
    if (coding !== "identity" && unpack === undefined) {
      throw new BodyRefused(415, "send Content-Encoding gzip, zstd, deflate or none");
    }
    if (Number(headers.length ?? 0) > bodyLimit) throw tooLarge();
    let held = 0;
    const hold = (bytes: number) => {
      if (this.#held > 0 && this.#held + bytes > heldLimit) throw tooMuch();
      this.#held += bytes;
      held += bytes;
    };
    try {
      const chunks: Uint8Array[] = [];
      for await (const chunk of source as AsyncIterable<Uint8Array>) {
        if (held + chunk.length > bodyLimit) throw tooLarge();
        hold(chunk.length);
        chunks.push(chunk);
      }
      const packed = chunks.length === 1 ? asBuffer(chunks[0]!) : Buffer.concat(chunks);
      if (unpack === undefined || packed.length === 0) return await work(packed);
      const body = await this.#unpack(unpack, coding, packed);
      hold(body.length);
      return await work(body);
    } finally {
      this.#held -= held;
    }
  }

  async #unpack(unpack: Unpack, coding: string, packed: Buffer): Promise<Buffer> {
    if (this.#unpacking >= unpackingLimit) await new Promise<void>((turn) => this.#turns.push(turn));
    else this.#unpacking++;
    try {
      return await unpack(packed, { maxOutputLength: bodyLimit });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
      throw new BodyRefused(400, `the body is not ${coding}`);
    } finally {
      // The turn is handed on, so that nobody comes in between.
      const next = this.#turns.shift();
      if (next === undefined) this.#unpacking--;
      else next();
    }
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function tooLarge(): BodyRefused {
  return new BodyRefused(413, `the body is larger than ${bodyLimit / 1024 / 1024} MiB; send smaller batches`);
}

export function tooMuch(): TsdevError {
  return new TsdevError("unavailable", {
    message: "more telemetry is on its way than this process can hold",
    fix: "send it again in a moment",
  });
}
