// For tests of builds: a store, a repository on the local Git host, and releases built by real npm in a fresh data directory.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { gitHosts } from "../git/git-hosts.ts";
import { openLocalGitHost } from "../git/local-host.ts";
import { openOwnedProcesses } from "../runtime/owned-processes.ts";
import { newId } from "../store/id.ts";
import { temporaryPostgres } from "../store/postgres-fixture.ts";
import { openStore } from "../store/store.ts";
import { BuildCommands } from "./build-commands.ts";
import { buildEnvironment } from "./build-environment.ts";
import { Releases } from "./releases.ts";

export async function buildsFixture() {
  const postgres = await temporaryPostgres();
  const store = await openStore({ url: postgres.url });
  const { db } = store;
  const directory = await mkdtemp(join(tmpdir(), "tsdev-builds-"));
  const git = await openLocalGitHost({ directory: join(directory, "git"), db, baseUrl: () => "http://localhost" });
  const processes = openOwnedProcesses(directory);
  const commands = new BuildCommands({
    processes,
    environment: async () =>
      buildEnvironment({ from: process.env, nodeFolder: dirname(process.execPath), sdkRegistry: null }),
    nodePath: process.execPath,
    toolchain: "test",
  });
  const releases = new Releases({ db, git: gitHosts({ local: git, github: null }), directory, commands });
  const organizationId = newId("org");
  const id = newId("prj");
  const { location } = await git.createRepository({ id, defaultBranch: "main" });
  await db.insertInto("organizations").values({ id: organizationId, name: "o" }).execute();
  const project = await db
    .insertInto("projects")
    .values({
      id,
      organization_id: organizationId,
      name: "app",
      default_branch: "main",
      git_host: "local",
      git_location: location,
    })
    .returningAll()
    .executeTakeFirstOrThrow();

  return {
    db,
    directory,
    releases,
    commands,
    processes,
    organizationId,
    project,
    /** A commit of these files alone, on a branch of its own. */
    async commit(files: Record<string, string | object>): Promise<string> {
      const folder = await mkdtemp(join(tmpdir(), "tsdev-source-"));
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), typeof content === "string" ? content : JSON.stringify(content));
      }
      const run = (...args: string[]) =>
        execa("git", ["-c", "user.name=t", "-c", "user.email=t@t", ...args], { cwd: folder });
      await run("init", "--quiet", "--initial-branch=main");
      await run("add", "--all", "--force");
      await run("commit", "--quiet", "--allow-empty", "-m", `commit ${newId("rel")}`);
      const commit = (await run("rev-parse", "HEAD")).stdout;
      await run("push", "--quiet", git.repositoryPath(location), `HEAD:refs/heads/b-${commit.slice(0, 8)}`);
      await rm(folder, { recursive: true, force: true });
      return commit;
    },
    /** Builds a commit; answers the release and everything that was logged. */
    async build(commit: string, signal = new AbortController().signal, heard: (text: string) => void = () => {}) {
      const lines: string[] = [];
      const log = async (_stream: string, text: string) => {
        lines.push(text);
        heard(text);
      };
      const request = { organizationId, project, commit, log, signal };
      const release = await releases.ensure(request);
      return { release, log: lines.join("\n") };
    },
    async [Symbol.asyncDispose]() {
      await processes.endOwned();
      await store.close();
      await postgres[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export type BuildsFixture = Awaited<ReturnType<typeof buildsFixture>>;
