// GitHub's settings: who the platform is there and at which address, from the environment.
import { TsdevError } from "../../sdk/errors.ts";
import type { GitHubCredentials } from "./github-client.ts";

export const publicApi = "https://api.github.com";

export interface GitHubSettings {
  /** Null where the platform is not connected to GitHub. */
  credentials: GitHubCredentials | null;
  /** Base of the API, without a slash at its end. */
  baseUrl: string;
  /** Values that must be shown nowhere. */
  secrets: string[];
}

/**
 * Reads TSDEV_GITHUB_TOKEN, or TSDEV_GITHUB_APP_ID, _PRIVATE_KEY (PEM; `\n` for its line ends is taken too) and
 * _INSTALLATION_ID, and TSDEV_GITHUB_URL. An App goes before a token. Throws `invalid_config` naming what is wrong.
 */
export function gitHubSettings(env: NodeJS.ProcessEnv): GitHubSettings {
  const token = env.TSDEV_GITHUB_TOKEN?.trim();
  const privateKey = env.TSDEV_GITHUB_PRIVATE_KEY?.trim().replaceAll("\\n", "\n");
  const baseUrl = apiBase(env.TSDEV_GITHUB_URL?.trim() || publicApi);
  const secrets = [token, privateKey].filter((value): value is string => Boolean(value));
  if (env.TSDEV_GITHUB_APP_ID || privateKey || env.TSDEV_GITHUB_INSTALLATION_ID) {
    const credentials = {
      appId: positive(env, "TSDEV_GITHUB_APP_ID"),
      privateKey: privateKey ?? "",
      installationId: positive(env, "TSDEV_GITHUB_INSTALLATION_ID"),
    };
    if (!credentials.privateKey.includes("PRIVATE KEY-----")) {
      throw wrong("TSDEV_GITHUB_PRIVATE_KEY", "is not a private key", "give the App's key as GitHub's PEM file has it");
    }
    return { credentials, baseUrl, secrets };
  }
  return { credentials: token ? { token } : null, baseUrl, secrets };
}

/** Where git itself finds a repository, or null where the API has no git beside it that we know of. */
export function gitAddress(baseUrl: string, location: string): string | null {
  const web = webOf(baseUrl);
  return web === null ? null : `${web}/${location}.git`;
}

/** Where people clone from. */
export function cloneAddress(baseUrl: string, location: string): string {
  return gitAddress(baseUrl, location) ?? `${baseUrl}/${location}.git`;
}

/** github.com and GHE.com have their API at `api.HOST`, an Enterprise Server at `HOST/api/v3`. */
function webOf(baseUrl: string): string | null {
  const { protocol, host, pathname } = new URL(baseUrl);
  if (pathname === "/" && host.startsWith("api.")) return `${protocol}//${host.slice("api.".length)}`;
  if (pathname === "/api/v3") return `${protocol}//${host}`;
  return null;
}

function apiBase(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search) {
    throw wrong(
      "TSDEV_GITHUB_URL",
      "is not the address of an API",
      "give it as https://api.github.com, or https://HOST/api/v3 for an Enterprise Server",
    );
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function positive(env: NodeJS.ProcessEnv, name: string): number {
  const value = Number(env[name]);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw wrong(
    name,
    env[name] ? "is not a number" : "is not set",
    "a GitHub App needs TSDEV_GITHUB_APP_ID, TSDEV_GITHUB_PRIVATE_KEY and TSDEV_GITHUB_INSTALLATION_ID; or give TSDEV_GITHUB_TOKEN alone",
  );
}

function wrong(name: string, what: string, fix: string): TsdevError {
  return new TsdevError("invalid_config", { message: `${name} ${what}`, fix, path: name });
}
