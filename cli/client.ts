// Client: calls operations of a platform over its HTTP API, and finds out which platform is meant.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { z } from "zod";
import { TsdevError } from "../sdk/errors.ts";

const Address = z.object({ url: z.string(), token: z.string() });
export type Address = z.infer<typeof Address>;

/** `.tsdev/link.json` of an app's folder: which platform and project it belongs to. */
const Link = z.object({
  url: z.string().optional(),
  project: z.string(),
  /** The commit that was pushed last, by branch. */
  pushed: z.record(z.string(), z.string()).optional(),
});
export type Link = z.infer<typeof Link>;

const linkPath = (folder: string) => join(folder, ".tsdev", "link.json");
/** Where `tsdev serve` notes its data directory, so that other folders find the platform on this machine. */
const notePath = () =>
  join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "tsdev", "data-directory");

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | null> {
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return null;
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

export async function readLink(folder: string): Promise<Link | null> {
  return readJson(linkPath(folder), Link);
}

export async function writeLink(folder: string, link: Link): Promise<void> {
  await mkdir(dirname(linkPath(folder)), { recursive: true });
  await writeFile(linkPath(folder), `${JSON.stringify(link, null, 2)}\n`);
}

/** Remembers the data directory for commands in other folders. */
export async function noteDataDirectory(directory: string): Promise<void> {
  await mkdir(dirname(notePath()), { recursive: true });
  await writeFile(notePath(), `${resolve(directory)}\n`);
}

/** The platform meant: TSDEV_URL and TSDEV_TOKEN, else a data directory, else the one on this machine. */
export async function findPlatform(data: string | undefined): Promise<Address> {
  const { TSDEV_URL, TSDEV_TOKEN } = process.env;
  if (TSDEV_URL) {
    if (TSDEV_TOKEN) return { url: TSDEV_URL.replace(/\/+$/, ""), token: TSDEV_TOKEN };
    throw new TsdevError("unauthenticated", {
      message: "TSDEV_URL is set but TSDEV_TOKEN is not",
      fix: "set TSDEV_TOKEN as well",
    });
  }
  const noted = (await readFile(notePath(), "utf8").catch(() => "")).trim();
  for (const directory of data ? [data] : [".tsdev", noted].filter(Boolean)) {
    const address = await readJson(join(directory, "control-plane.json"), Address);
    if (address) return address;
  }
  throw new TsdevError("unavailable", {
    message: data ? `no platform runs on ${data}` : "no platform runs on this machine",
    fix: "start one with `npx tsdev serve`, or set TSDEV_URL and TSDEV_TOKEN",
  });
}

export type ProgressListener = (message: string, fraction?: number) => void;

export class Client {
  readonly address: Address;
  readonly #face: string;

  constructor(address: Address, face = "cli") {
    this.address = address;
    this.#face = face;
  }

  /** Calls an operation that answers once; `progress` hears what it tells meanwhile. */
  async call<T = unknown>(
    name: string,
    input: object,
    options: { read?: boolean; progress?: ProgressListener } = {},
  ): Promise<T> {
    const response = await this.#request(name, input, options.read ?? false, options.progress !== undefined);
    if (!options.progress) return (await response.json()) as T;
    for await (const { event, data } of events(response)) {
      if (event === "progress")
        options.progress((data as { message: string }).message, (data as { fraction?: number }).fraction);
      if (event === "result") return data as T;
    }
    throw cutOff(name);
  }

  /** Values of a stream operation until it ends or the signal aborts. */
  async *stream<T = unknown>(name: string, input: object, signal?: AbortSignal): AsyncGenerator<T> {
    const response = await this.#request(name, input, true, true, signal);
    for await (const { event, data } of events(response)) {
      if (event === "value") yield data as T;
      if (event === "end") return;
    }
    throw cutOff(name);
  }

  async #request(name: string, input: object, read: boolean, sse: boolean, signal?: AbortSignal): Promise<Response> {
    const url = new URL(`${this.address.url}/api/v1/${name.replaceAll(".", "/")}`);
    const headers: Record<string, string> = {
      authorization: `Bearer ${this.address.token}`,
      "x-tsdev-face": this.#face,
      accept: sse ? "text/event-stream" : "application/json",
    };
    if (read) {
      for (const [key, value] of Object.entries(input)) {
        if (value !== undefined) url.searchParams.set(key, typeof value === "string" ? value : JSON.stringify(value));
      }
    } else headers["content-type"] = "application/json";
    const init: RequestInit = { method: read ? "GET" : "POST", headers };
    if (!read) init.body = JSON.stringify(input);
    if (signal) init.signal = signal;
    let response: Response;
    try {
      response = await fetch(url, init);
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new TsdevError("unavailable", {
        message: `nothing answers at ${this.address.url}`,
        fix: "start the platform with `npx tsdev serve`, or correct TSDEV_URL",
        cause,
      });
    }
    if (!response.ok) throw errorOf(await response.json().catch(() => null), response.status);
    return response;
  }
}

function errorOf(body: unknown, status: number): TsdevError {
  const shape = z.object({
    error: z.object({ code: z.string(), message: z.string(), fix: z.string(), path: z.string().optional() }),
  });
  const parsed = shape.safeParse(body);
  if (parsed.success) return new TsdevError(parsed.data.error.code as "internal", parsed.data.error);
  return new TsdevError("unavailable", {
    message: `the platform answered ${status}`,
    fix: "try again; see its log if it repeats",
  });
}

const cutOff = (name: string) =>
  new TsdevError("unavailable", {
    message: `the connection was cut during ${name}`,
    fix: "the platform may have stopped; try again",
  });

async function* events(response: Response): AsyncGenerator<{ event: string; data: unknown }> {
  if (!response.body) return;
  const stream = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  try {
    for await (const message of stream) {
      const data: unknown = JSON.parse(message.data);
      if (message.event === "error") throw errorOf(data, 500);
      yield { event: message.event ?? "message", data };
    }
  } catch (error) {
    if (TsdevError.is(error)) throw error;
    throw new TsdevError("unavailable", {
      message: "the connection to the platform broke",
      fix: "try again",
      cause: error,
    });
  }
}
