// Credentials: what an API wants to see of its caller; read at call time, and hidden in everything that is said.
import { TsdevError } from "../errors.ts";

export type Credential = string | (() => string | Promise<string>);

export type Scheme =
  | { readonly type: "bearer" }
  | { readonly type: "basic" }
  | { readonly type: "apiKey"; readonly in: "header" | "query" | "cookie"; readonly name: string };

/** The environment variable that holds a credential: `PETSTORE_API_KEY` for the scheme `api_key` of `petstore`. */
export function variableOf(api: string, scheme: string): string {
  return `${api}_${scheme}`
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll(/[^A-Za-z0-9]+/g, "_")
    .toUpperCase();
}

/** The credentials of one call. */
export class Secrets {
  readonly #api: string;
  readonly #schemes: Readonly<Record<string, Scheme>>;
  readonly #given: Readonly<Record<string, Credential>>;
  readonly #used: string[] = [];

  constructor(api: string, schemes: Readonly<Record<string, Scheme>>, given: Readonly<Record<string, Credential>>) {
    this.#api = api;
    this.#schemes = schemes;
    this.#given = given;
  }

  /** `security`: alternatives, each a list of schemes; the first whose credentials are all there is used. */
  async apply(security: readonly (readonly string[])[], what: string, url: URL, headers: Headers): Promise<void> {
    if (security.length === 0) return;
    for (const alternative of security) {
      const found = await Promise.all(alternative.map(async (name) => [name, await this.#read(name)] as const));
      if (found.some(([, value]) => value === undefined)) continue;
      for (const [name, value] of found) this.#set(this.#schemes[name]!, value as string, url, headers);
      return;
    }
    const names = [...new Set(security.flat())].map((name) => variableOf(this.#api, name));
    throw new TsdevError("invalid_config", {
      message: `${what} needs a credential, and none is configured`,
      fix: `set ${names.join(" or ")}, or give it with configure({ auth })`,
    });
  }

  /** The text without any credential of this call. */
  hide(text: string): string {
    return this.#used.reduce((hidden, secret) => hidden.replaceAll(secret, "[redacted]"), text);
  }

  /** Why no answer came. */
  unreachable(what: string, cause: unknown, signal: AbortSignal): TsdevError {
    if (signal.aborted) {
      const late = (signal.reason as { name?: string } | undefined)?.name === "TimeoutError";
      return new TsdevError(late ? "timeout" : "canceled", {
        message: `${what} was given up before it answered`,
        fix: late ? "raise the time limit, or look at why the service is slow" : "start it again if it was not meant",
        cause: signal.reason,
      });
    }
    const inner = (cause as { cause?: { code?: string; message?: string } }).cause;
    const reason = this.hide(inner?.code ?? inner?.message ?? (cause instanceof Error ? cause.message : String(cause)));
    // Without the cause itself: fetch puts the whole address into some of its messages.
    return new TsdevError("unavailable", { message: `${what} did not answer: ${reason}`, fix: "try again later" });
  }

  async #read(name: string): Promise<string | undefined> {
    const given = Object.hasOwn(this.#given, name) ? this.#given[name] : undefined;
    const value = typeof given === "function" ? await given() : (given ?? process.env[variableOf(this.#api, name)]);
    if (value === undefined || value === "" || !Object.hasOwn(this.#schemes, name)) return undefined;
    return value;
  }

  #set(scheme: Scheme, value: string, url: URL, headers: Headers): void {
    this.#used.push(value);
    if (scheme.type === "bearer") headers.set("authorization", `Bearer ${value}`);
    else if (scheme.type === "basic") {
      const encoded = Buffer.from(value).toString("base64");
      this.#used.push(encoded);
      headers.set("authorization", `Basic ${encoded}`);
    } else if (scheme.in === "header") headers.set(scheme.name, value);
    else if (scheme.in === "query") {
      this.#used.push(encodeURIComponent(value));
      url.searchParams.set(scheme.name, value);
    } else headers.append("cookie", `${scheme.name}=${encodeURIComponent(value)}`);
  }
}
