// For tests: GitHub as the `emulate` package has it, an HTTP server in a process of its own, and Ada who works there.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Octokit } from "octokit";

/** The token of Ada, whom the platform acts as. */
export const adasToken = "test_tsdev";
const startLimitMs = 30_000;

export interface GitHubApp {
  app_id: number;
  private_key: string;
  installation_id: number;
}

export interface GitHubEmulator {
  baseUrl: string;
  ada: Octokit;
  /** Makes `ada/NAME` with one commit on `main`. */
  createRepository(name: string): Promise<string>;
  /** A commit by Ada over the branch's head; names that end with `.sh` are executable. */
  commit(location: string, branch: string, files: Record<string, string>, message?: string): Promise<string>;
  stop(): Promise<void>;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export async function startGitHubEmulator(apps: GitHubApp[] = []): Promise<GitHubEmulator> {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-github-emulator-"));
  const seed = {
    tokens: { [adasToken]: { login: "ada", scopes: ["repo", "user"] } },
    github: {
      users: [{ login: "ada", name: "Ada", email: "ada@example.com" }],
      apps: apps.map(({ installation_id, ...app }) => ({
        ...app,
        slug: "tsdev",
        name: "tsdev",
        permissions: { contents: "write", pull_requests: "write", issues: "write" },
        installations: [{ installation_id, account: "ada", repository_selection: "all" }],
      })),
    },
  };
  await writeFile(join(directory, "seed.json"), JSON.stringify(seed));
  const port = await freePort();
  const baseUrl = `http://127.0.0.1:${port}`;
  const main = new URL(import.meta.resolve("emulate").replace(/api\.js$/, "index.js")).pathname;
  const child = spawn(
    process.execPath,
    [main, "start", "--service", "github", "--port", String(port), "--seed", "seed.json"],
    { cwd: directory, stdio: "ignore" },
  );
  const stop = async () => {
    await ended(child);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await answers(`${baseUrl}/zen`, child);
  } catch (error) {
    await stop();
    throw error;
  }
  const ada = new Octokit({ auth: adasToken, baseUrl, throttle: { enabled: false } });

  return {
    baseUrl,
    ada,
    stop,
    async createRepository(name) {
      await ada.rest.repos.createForAuthenticatedUser({ name, auto_init: true });
      return `ada/${name}`;
    },
    async commit(location, branch, files, message = "by Ada") {
      const [owner = "", repo = ""] = location.split("/");
      const ref = await ada.rest.git.getRef({ owner, repo, ref: `heads/${branch}` });
      const parent = ref.data.object.sha;
      const tree = await ada.rest.git.createTree({
        owner,
        repo,
        base_tree: (await ada.rest.git.getCommit({ owner, repo, commit_sha: parent })).data.tree.sha,
        tree: Object.entries(files).map(([path, content]) => ({
          path,
          content,
          mode: path.endsWith(".sh") ? ("100755" as const) : ("100644" as const),
          type: "blob" as const,
        })),
      });
      const commit = await ada.rest.git.createCommit({
        owner,
        repo,
        message,
        tree: tree.data.sha,
        parents: [parent],
        author: { name: "Ada", email: "ada@example.com" },
      });
      await ada.rest.git.updateRef({ owner, repo, ref: `heads/${branch}`, sha: commit.data.sha });
      return commit.data.sha;
    },
  };
}

async function answers(url: string, child: ChildProcess): Promise<void> {
  const end = performance.now() + startLimitMs;
  while (
    !(await fetch(url)
      .then((response) => response.ok)
      .catch(() => false))
  ) {
    if (child.exitCode !== null || performance.now() > end) throw new Error("the GitHub emulator does not start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
