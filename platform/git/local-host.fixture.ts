// For tests: a local Git host on a Postgres of its own, with organizations, projects, and commits by somebody else.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openEmbeddedPostgres } from "../store/embedded-postgres.ts";
import { newId } from "../store/id.ts";
import { openStore, type Store } from "../store/store.ts";
import { type LocalGitHost, openLocalGitHost } from "./local-host.ts";

export interface HostOnDisk {
  directory: string;
  /** Address of the Postgres, for another process. */
  url: string;
  store: Store;
  host: LocalGitHost;
  organization(): Promise<string>;
  /** A project with an empty repository; returns its location, which is its id. */
  project(organizationId: string, name?: string): Promise<string>;
  /** A commit by Ada over the branch's head, or the first one. */
  commitByPerson(location: string, branch: string, files: Record<string, string>): Promise<string>;
  close(): Promise<void>;
}

export const person = {
  GIT_AUTHOR_NAME: "Ada",
  GIT_AUTHOR_EMAIL: "ada@example.com",
  GIT_COMMITTER_NAME: "Ada",
  GIT_COMMITTER_EMAIL: "ada@example.com",
};

export async function openHostOnDisk(): Promise<HostOnDisk> {
  const directory = await mkdtemp(join(tmpdir(), "tsdev-git-"));
  const postgres = await openEmbeddedPostgres({ directory: join(directory, "postgres") });
  const store = await openStore({ url: postgres.url });
  const { db } = store;
  const host = await openLocalGitHost({
    directory: join(directory, "git"),
    db,
    baseUrl: () => "http://dashboard.localhost",
  });
  return {
    directory,
    url: postgres.url,
    store,
    host,

    async organization() {
      const id = newId("org");
      await db.insertInto("organizations").values({ id, name: id }).execute();
      return id;
    },

    async project(organizationId, name = "shop") {
      const id = newId("prj");
      const { location } = await host.createRepository({ id, defaultBranch: "main" });
      await db
        .insertInto("projects")
        .values({
          id,
          organization_id: organizationId,
          name,
          default_branch: "main",
          git_host: "local",
          git_location: location,
        })
        .execute();
      return location;
    },

    async commitByPerson(location, branch, files) {
      const parent = await host.head(location, branch);
      const env = { ...person, GIT_INDEX_FILE: join(host.git.scratch, `test-${newId("psh")}`) };
      const git = async (args: string[], input?: string) =>
        (
          await host.git.run([`--git-dir=${host.repositoryPath(location)}`, ...args], {
            env,
            ...(input === undefined ? {} : { input }),
          })
        ).stdout.trim();
      if (parent) await git(["read-tree", parent]);
      let entries = "";
      for (const [path, content] of Object.entries(files)) {
        const blob = await git(["hash-object", "-w", "--stdin"], content);
        entries += `${path.endsWith(".sh") ? "100755" : "100644"} ${blob}\t${path}\n`;
      }
      await git(["update-index", "--index-info"], entries);
      const tree = await git(["write-tree"]);
      const commit = await git(["commit-tree", tree, ...(parent ? ["-p", parent] : []), "-m", "by Ada"]);
      await git(["update-ref", `refs/heads/${branch}`, commit]);
      return commit;
    },

    async close() {
      await store.close();
      await postgres.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
