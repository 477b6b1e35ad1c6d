// Pending: the answer of one call, awaited whole or iterated item by item; only the server knows which of both it is.
import { errorOf } from "./client-error.ts";
import { readEvents } from "./read-events.ts";
import { away } from "./request.ts";

/** The request is on its way already. */
export class Pending implements PromiseLike<unknown>, AsyncIterable<unknown> {
  readonly #response: Promise<Response>;
  readonly #signal: AbortSignal | undefined;
  readonly #leave: AbortController;

  constructor(response: Promise<Response>, signal: AbortSignal | undefined, leave: AbortController) {
    this.#response = response;
    this.#signal = signal;
    this.#leave = leave;
  }

  // biome-ignore lint/suspicious/noThenProperty: a call is awaited like a promise
  // biome-ignore lint/suspicious/noExplicitAny: the signature of PromiseLike
  then(fulfilled?: any, rejected?: any): any {
    return this.#whole().then(fulfilled, rejected);
  }

  async #whole(): Promise<unknown> {
    const response = await this.#response;
    try {
      const type = response.headers.get("content-type") ?? "";
      // An empty file is a file all the same: it has a type.
      const isEmpty = response.status === 204 || response.headers.get("content-length") === "0";
      if (isEmpty && type === "") return undefined;
      if (type.startsWith("text/event-stream")) {
        this.#leave.abort();
        throw new TypeError("this procedure answers with a stream: iterate it with `for await`");
      }
      // A file is told by its name, whatever is in it; another origin's is seen only where the app exposes this header.
      const isJson = type.startsWith("application/json") && !response.headers.has("content-disposition");
      return isJson ? await response.json() : await response.blob();
    } catch (error) {
      throw error instanceof TypeError && error.message.startsWith("this procedure")
        ? error
        : away(error, this.#signal);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void> {
    const response = await this.#response;
    const type = response.headers.get("content-type") ?? "";
    if (!type.startsWith("text/event-stream")) throw new TypeError("this procedure answers once: await it");
    try {
      for await (const { event, data } of readEvents(response)) {
        if (event === "end") return;
        if (event === "error") throw errorOf(JSON.parse(data), 0);
        yield JSON.parse(data);
      }
      throw new Error("the stream was cut off");
    } catch (error) {
      throw away(error, this.#signal);
    } finally {
      this.#leave.abort();
    }
  }
}
