// Git over HTTP: fetch and push through `git http-backend`, streamed both ways, for whoever has a token.
import { statfs } from "node:fs/promises";
import { type Context, Hono } from "hono";
import { TsdevError } from "../../sdk/errors.ts";
import type { Principal, Role } from "../../sdk/operation.ts";
import { type GitService, serveBackend } from "./http-backend.ts";
import type { LocalGitHost } from "./local-host.ts";
import type { ProjectOfRepository } from "./local-pull-requests.ts";
import { pushHooks } from "./push-hook.ts";

/** One branch that one push moved or made. A deleted branch is no push: there is nothing to build. */
export interface ReceivedPush {
  project: ProjectOfRepository & { location: string };
  branch: string;
  /** Null where the push made the branch. */
  before: string | null;
  after: string;
  /** The first line of the commit's message. */
  message: string;
  principal: Principal;
}

export interface GitHttpOptions {
  host: LocalGitHost;
  authenticate(token: string): Promise<Principal | null>;
  /**
   * Called once for each branch of a push, after git has it and before the pusher is answered: what it wrote is as safe as
   * the push. The lines it returns are shown to the pusher.
   */
  onPush(push: ReceivedPush): Promise<string[] | undefined>;
}

/** A push that would fill the disk up is refused: the database needs the rest to stay whole. */
const leastFreeBytes = 32 * 1024 * 1024;

const mayPush: Record<Role, boolean> = { viewer: false, developer: true, owner: true };

/** Answers `/<project>.git/…`; to be mounted at `/git`. */
export function gitHttp({ host, authenticate, onPush }: GitHttpOptions): Hono {
  const app = new Hono();
  const hooks = pushHooks(host.directory);
  app.onError((thrown, c) => {
    const { message, fix, status } = TsdevError.from(thrown);
    return say(c, status === 503 ? 503 : 500, `${message}; ${fix}`);
  });

  app.all("/:repository/:service{.+}", async (c) => {
    const token = tokenOf(c.req.header("authorization"));
    const principal = token === null ? null : await authenticate(token);
    if (principal === null) {
      c.header("WWW-Authenticate", 'Basic realm="tsdev", charset="UTF-8"');
      const known = token === null ? "no token was sent" : "the token is not known";
      return say(c, 401, `${known}; give it as the password (any user name), \`tsdev serve --json\` prints it`);
    }

    const wanted = serviceOf(c);
    if (wanted === null) return say(c, 404, "only git's smart HTTP protocol is served here");
    if (wanted.service === "git-receive-pack" && !mayPush[principal.role]) {
      return say(c, 403, `the role ${principal.role} may fetch but not push; ask an owner for a developer token`);
    }

    const name = (c.req.param("repository") ?? "").replace(/\.git$/, "");
    const project = await host.projectNamed(principal.organizationId, name);
    if (project === null) {
      return say(c, 404, `no project "${name.slice(0, 60)}" here; make it with \`tsdev deploy\` or in the dashboard`);
    }

    if (wanted.service === "git-receive-pack") {
      const { bavail, bsize } = await statfs(host.directory);
      if (bavail * bsize < leastFreeBytes) {
        return say(c, 507, "the disk of the platform's data directory is full; free some space there and push again");
      }
    }

    return await serveBackend({
      host,
      request: c.req.raw,
      repository: host.repositoryPath(project.location),
      service: wanted,
      user: principal.id,
      hooks: wanted.push ? hooks : null,
      moved: async (branches) => {
        const lines: string[] = [];
        for (const { branch, before, after } of branches) {
          try {
            const message = (await host.describe(project.location, after))?.subject ?? "";
            lines.push(...((await onPush({ project, branch, before, after, message, principal })) ?? []));
          } catch (error) {
            lines.push(
              `${branch} was received but not recorded: ${error instanceof Error ? error.message : String(error)}`,
              "it is looked for again when the platform starts; or push again",
            );
          }
        }
        return lines.map((line) => `tsdev: ${line}`);
      },
    });
  });

  return app;
}

function serviceOf(c: Context): GitService | null {
  const path = c.req.param("service");
  const method = c.req.method;
  if (path === "info/refs" && method === "GET") {
    const service = c.req.query("service");
    if (service !== "git-upload-pack" && service !== "git-receive-pack") return null;
    return { path: "/info/refs", service, push: false };
  }
  if (method !== "POST") return null;
  if (path === "git-upload-pack") return { path: "/git-upload-pack", service: path, push: false };
  if (path === "git-receive-pack") return { path: "/git-receive-pack", service: path, push: true };
  return null;
}

/** The token of a Basic header (password, or user name where the password is empty or `x-oauth-basic`) or a Bearer one. */
function tokenOf(header: string | undefined): string | null {
  const [scheme, value] = header?.split(" ", 2) ?? [];
  if (!scheme || !value) return null;
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return null;
  const decoded = Buffer.from(value, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  const user = colon < 0 ? decoded : decoded.slice(0, colon);
  const password = colon < 0 ? "" : decoded.slice(colon + 1);
  const token = password === "" || password === "x-oauth-basic" ? user : password;
  return token === "" ? null : token;
}

/** Plain text: git shows it to its user as `remote: …`. */
function say(c: Context, status: 401 | 403 | 404 | 500 | 503 | 507, text: string): Response {
  return c.text(`tsdev: ${text}\n`, status);
}
