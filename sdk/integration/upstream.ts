// Upstream: calls another service's API for the procedures that `tsdev integrate` prints.
import { TsdevError } from "../errors.ts";
import { type Credential, type Scheme, Secrets } from "./credentials.ts";
import { bodyOf, type Operation, urlOf } from "./request.ts";
import { UpstreamError } from "./upstream-error.ts";

export interface UpstreamSettings {
  /** Where the API is, for example a sandbox. Default: the document's first server. */
  baseUrl?: string;
  /**
   * By the name of the security scheme: the credential, or a function that is asked at every call. Basic is
   * `user:password`. Default: the environment variable NAME_SCHEME, read at every call.
   */
  auth?: Readonly<Record<string, Credential>>;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>>;
}

export interface Upstream {
  /** Changes settings for the calls that begin later. */
  configure(settings: UpstreamSettings): void;
  /**
   * One request. Throws `upstream_failed`, `rate_limited`, `timeout` or `unavailable` with the upstream's status as
   * `upstreamStatus`; `invalid_config` where a credential is missing. No message holds a credential.
   */
  call<T>(operation: Operation, input: object, context: { signal: AbortSignal; idempotencyKey: string }): Promise<T>;
}

/** An API by its name, its default address and its security schemes. */
export function upstream(parts: {
  name: string;
  baseUrl: string;
  schemes?: Readonly<Record<string, Scheme>>;
}): Upstream {
  let settings: UpstreamSettings = {};
  return {
    configure: (changed) => {
      settings = { ...settings, ...changed };
    },
    call: async <T>(
      operation: Operation,
      input: object,
      context: { signal: AbortSignal; idempotencyKey: string },
    ): Promise<T> => {
      const what = `${operation.method} ${operation.path} of ${parts.name}`;
      const { baseUrl = parts.baseUrl, auth = {}, headers: fixed = {} } = settings;
      const secrets = new Secrets(parts.name, parts.schemes ?? {}, auth);
      const headers = new Headers({ accept: acceptOf(operation), ...fixed });
      const url = urlOf(baseUrl, operation, input as Record<string, unknown>, headers);
      if (operation.idempotencyHeader && !headers.has(operation.idempotencyHeader)) {
        headers.set(operation.idempotencyHeader, context.idempotencyKey);
      }
      const body = bodyOf(operation, input as Record<string, unknown>, headers);
      await secrets.apply(operation.security ?? [], what, url, headers);
      try {
        // A redirect would carry keys in headers to whatever host it names.
        const response = await fetch(url, {
          method: operation.method,
          headers,
          ...(body === undefined ? {} : { body }),
          signal: context.signal,
          redirect: "manual",
        });
        return (await answerOf(response, operation, what, secrets)) as T;
      } catch (thrown) {
        throw TsdevError.is(thrown) ? thrown : secrets.unreachable(what, thrown, context.signal);
      }
    },
  };
}

function acceptOf({ answer }: Operation): string {
  return answer === "json" ? "application/json" : answer === "text" ? "text/*" : "*/*";
}

async function answerOf(response: Response, operation: Operation, what: string, secrets: Secrets): Promise<unknown> {
  if (!response.ok) {
    const said = secrets.hide(await response.text());
    throw UpstreamError.of(response, what, said);
  }
  if (operation.answer === "none" || response.status === 204) {
    await response.body?.cancel();
    return undefined;
  }
  if (operation.answer === "binary") return new Uint8Array(await response.arrayBuffer());
  const text = await response.text();
  if (operation.answer === "text") return text;
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new TsdevError("upstream_failed", {
      message: `${what} answered ${response.status} with a body that is not JSON`,
      fix: "look at the address that is called, and at what stands before the service",
    });
  }
}
