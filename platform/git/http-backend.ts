// `git http-backend` as a CGI program: one process a request, both bodies streamed, never held in memory.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as WebStream } from "node:stream/web";
import { bareRepository } from "./bare-repository.ts";
import type { LocalGitHost } from "./local-host.ts";
import { answerHooks, type MovedBranch } from "./push-hook.ts";
import { removeStaleLocks } from "./stale-files.ts";

/** A push larger than this is refused by git itself. */
const largestPush = "2g";

/** Which of the three requests of the protocol this is. */
export interface GitService {
  path: "/info/refs" | "/git-upload-pack" | "/git-receive-pack";
  service: "git-upload-pack" | "git-receive-pack";
  /** True for the one request that moves refs. */
  push: boolean;
}

export interface BackendRequest {
  host: LocalGitHost;
  request: Request;
  repository: string;
  service: GitService;
  user: string;
  /** The hooks folder, for a push. */
  hooks: string | null;
  moved(branches: MovedBranch[]): Promise<string[]>;
}

export async function serveBackend(call: BackendRequest): Promise<Response> {
  const { host, request, hooks } = call;
  if (hooks !== null) await removeStaleLocks(call.repository);

  const child = spawn("git", ["http-backend"], {
    env: host.git.environment(cgiVariables(call), {
      "receive.maxInputSize": largestPush,
      ...(hooks === null ? {} : { "core.hooksPath": hooks }),
    }),
    stdio: hooks === null ? ["pipe", "pipe", "pipe"] : ["pipe", "pipe", "pipe", "pipe", "pipe"],
  });
  const ended = once(child, "exit").catch(() => undefined);
  const complaint = collect(child.stderr as Readable);
  const repository = bareRepository(host.git, call.repository);
  const told =
    hooks === null
      ? Promise.resolve()
      : answerHooks(child.stdio[3] as Duplex, child.stdio[4] as Duplex, call.moved, (branch) =>
          repository.resolve(`refs/heads/${branch}`),
        ).catch(() => undefined);

  if (request.body === null) child.stdin?.end();
  else {
    // The program may end before it has read everything (a refused push); that is its answer, not a failure.
    pipeline(Readable.fromWeb(request.body as WebStream), child.stdin as NodeJS.WritableStream).catch(() => {
      child.stdin?.destroy();
    });
  }

  const output = (child.stdout as Readable)[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const head = await readHead(output);
  if (head === null) {
    await Promise.all([ended, told]);
    const text = (await complaint).trim();
    return new Response(`tsdev: git http-backend gave no answer${text ? `: ${text.slice(0, 400)}` : ""}\n`, {
      status: 500,
      headers: { "content-type": "text/plain" },
    });
  }

  async function* body(rest: Buffer): AsyncGenerator<Uint8Array> {
    try {
      if (rest.length > 0) yield rest;
      for (let next = await output.next(); !next.done; next = await output.next()) yield next.value;
    } finally {
      release(child);
      await Promise.all([ended, told]);
    }
  }
  return new Response(ReadableStream.from(body(head.rest)), {
    status: head.status,
    headers: head.headers,
  });
}

function cgiVariables({ request, repository, service, user }: BackendRequest): Record<string, string> {
  const header = (name: string) => request.headers.get(name) ?? undefined;
  const variables: Record<string, string | undefined> = {
    GIT_PROJECT_ROOT: repository,
    GIT_HTTP_EXPORT_ALL: "1",
    PATH_INFO: service.path,
    QUERY_STRING: service.path === "/info/refs" ? `service=${service.service}` : "",
    REQUEST_METHOD: request.method,
    CONTENT_TYPE: header("content-type"),
    // No CONTENT_LENGTH: the program then reads until the end. Told a length, it spins for ever on a body that ends early,
    // as it does when this process is killed in the middle of a push (seen with git 2.39).
    HTTP_CONTENT_ENCODING: header("content-encoding"),
    GIT_PROTOCOL: header("git-protocol"),
    REMOTE_USER: user,
    REMOTE_ADDR: "127.0.0.1",
    SERVER_PROTOCOL: "HTTP/1.1",
    GATEWAY_INTERFACE: "CGI/1.1",
    // Written into the reflog as who pushed.
    GIT_COMMITTER_NAME: user,
    GIT_COMMITTER_EMAIL: `${user}@localhost`,
  };
  return Object.fromEntries(
    Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** The CGI header block, and what came behind it in the same chunks; null where the program ended without one. */
async function readHead(
  output: AsyncIterator<Buffer>,
): Promise<{ status: number; headers: Headers; rest: Buffer } | null> {
  let read: Buffer = Buffer.alloc(0);
  for (;;) {
    const end = /\r?\n\r?\n/.exec(read.toString("latin1"));
    if (end) {
      const headers = new Headers();
      let status = 200;
      for (const line of read.toString("latin1", 0, end.index).split(/\r?\n/)) {
        const colon = line.indexOf(":");
        const name = line.slice(0, colon).trim();
        const value = line.slice(colon + 1).trim();
        if (name.toLowerCase() === "status") status = Number.parseInt(value, 10);
        else if (colon > 0) headers.append(name, value);
      }
      return { status, headers, rest: read.subarray(end.index + end[0].length) };
    }
    if (read.length > 64_000) return null;
    const next = await output.next();
    if (next.done) return null;
    read = Buffer.concat([read, next.value]);
  }
}

/** Ends a program whose reader has gone; one that has ended by itself is left as it is. */
function release(child: ChildProcess): void {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.stdin?.destroy();
  child.stdout?.destroy();
}

async function collect(stream: Readable): Promise<string> {
  let text = "";
  for await (const chunk of stream) if (text.length < 4000) text += String(chunk);
  return text;
}
