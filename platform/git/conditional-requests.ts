// Conditional requests: what is asked of GitHub again and again is asked with the ETag of the last answer.
import { type Octokit, RequestError } from "octokit";

/** What is looked at regularly. An unchanged answer (304) has no body and does not count against GitHub's hourly limit. */
const asked = new Set([
  "/repos/{owner}/{repo}/git/ref/{ref}",
  "/repos/{owner}/{repo}/pulls/{pull_number}",
  "/repos/{owner}/{repo}/compare/{basehead}",
]);
/** Answers kept in memory; the least recently used goes first. */
const mostKept = 200;

/** Gives the client a memory for the regular questions: an answer that has not changed is taken from there. */
export function rememberAnswers(octokit: Octokit): void {
  const kept = new Map<string, { etag: string; response: object }>();
  octokit.hook.wrap("request", async (request, options) => {
    if (options.method !== "GET" || !asked.has(options.url)) return request(options);
    const { url } = octokit.request.endpoint(options);
    const known = kept.get(url);
    kept.delete(url);
    // Octokit's hooks hand on the options they were given, so a header is set in place.
    if (known) options.headers["if-none-match"] = known.etag;
    try {
      const response = await request(options);
      const { etag } = response.headers;
      if (etag) keep(url, { etag, response });
      return response;
    } catch (error) {
      if (!(error instanceof RequestError && error.status === 304 && known)) throw error;
      keep(url, known);
      return known.response as Awaited<ReturnType<typeof request>>;
    }
  });

  function keep(url: string, answer: { etag: string; response: object }): void {
    kept.set(url, answer);
    for (const oldest of kept.keys()) {
      if (kept.size <= mostKept) return;
      kept.delete(oldest);
    }
  }
}
