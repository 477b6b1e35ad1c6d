// The connection to GitHub: who we are there, and its failures in our own words.
import { App, Octokit, RequestError } from "octokit";
import { TsdevError } from "../../sdk/errors.ts";
import { rememberAnswers } from "./conditional-requests.ts";

export type GitHubCredentials =
  /** A personal access token, or one minted elsewhere. */
  | { token: string }
  /** An installation of a GitHub App; tokens are minted when needed and live an hour. */
  | { appId: number; privateKey: string; installationId: number };

export interface GitHubClientOptions {
  credentials: GitHubCredentials;
  /** `https://api.github.com`, `https://HOST/api/v3`, or an emulator. */
  baseUrl: string;
  /** Spaces out writes as GitHub asks of its integrators; a second or more each. */
  throttle: boolean;
}

export interface GitHubClient {
  octokit: Octokit;
  /** A token for git itself, fresh for at least a few minutes. */
  token(): Promise<string>;
}

export async function gitHubClient(options: GitHubClientOptions): Promise<GitHubClient> {
  const { credentials, baseUrl } = options;
  const settings = {
    baseUrl,
    userAgent: "tsdev",
    // After 1 and 4 seconds; whoever asked tries again later.
    retry: { retries: 2 },
    throttle: options.throttle
      ? {
          onRateLimit: (retryAfter: number, _request: object, _octokit: unknown, tries: number) =>
            tries < 2 && retryAfter < 60,
          onSecondaryRateLimit: (retryAfter: number, _request: object, _octokit: unknown, tries: number) =>
            tries < 2 && retryAfter < 120,
        }
      : { enabled: false },
    // Its warnings go to the console and may name private repositories.
    log: { debug() {}, info() {}, warn() {}, error() {} },
  };
  if ("token" in credentials) {
    const octokit = new Octokit({ ...settings, auth: credentials.token });
    rememberAnswers(octokit);
    return { octokit, token: async () => credentials.token };
  }
  const app = new App({
    appId: credentials.appId,
    privateKey: credentials.privateKey,
    Octokit: Octokit.defaults(settings),
  });
  const octokit = (await app.getInstallationOctokit(credentials.installationId)) as Octokit;
  rememberAnswers(octokit);
  return {
    octokit,
    token: async () => ((await octokit.auth({ type: "installation" })) as { token: string }).token,
  };
}

export function statusOf(error: unknown): number | undefined {
  return error instanceof RequestError ? error.status : undefined;
}

/** The answer, or null where GitHub says 404. */
export async function orNull<T>(ask: Promise<T>): Promise<T | null> {
  try {
    return await ask;
  } catch (error) {
    if (statusOf(error) === 404) return null;
    throw error;
  }
}

/** Runs what talks to GitHub and throws its failures as ours. The credentials are in none of them. */
export async function inOurWords<T>(location: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (TsdevError.is(error)) throw error;
    throw translated(location, error);
  }
}

function translated(location: string, error: unknown): TsdevError {
  const status = statusOf(error);
  const words = error instanceof Error ? error.message.slice(0, 400) : String(error);
  const message = `GitHub, ${location}: ${words}`;
  if (status === undefined || status >= 500) {
    return new TsdevError("unavailable", { message, fix: "try again; see githubstatus.com if it stays", cause: error });
  }
  const limited = error instanceof RequestError && error.response?.headers["x-ratelimit-remaining"] === "0";
  if (status === 429 || (status === 403 && limited)) {
    return new TsdevError("rate_limited", { message, fix: "wait until the limit is reset", cause: error });
  }
  if (status === 401) {
    return new TsdevError("unauthenticated", { message, fix: "give a token that is valid", cause: error });
  }
  if (status === 403) {
    return new TsdevError("forbidden", {
      message,
      fix: "give the token or the app write access to contents and pull requests",
      cause: error,
    });
  }
  if (status === 404) {
    return new TsdevError("not_found", {
      message,
      fix: "check owner/name, and that the token or the app may see the repository",
      cause: error,
    });
  }
  if (status === 409 || status === 405) return new TsdevError("conflict", { message, fix: "ask again", cause: error });
  return new TsdevError("git_rejected", { message, fix: "read GitHub's own words above", cause: error });
}
