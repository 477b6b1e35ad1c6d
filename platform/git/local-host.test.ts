// The local Git host on a real Postgres and real git: the contract, and what a kill or a race may leave behind.
import { mkdir, readdir, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../store/id.ts";
import type { Store } from "../store/store.ts";
import { gitHostContract, type HostUnderTest } from "./git-host.contract.ts";
import { type HostOnDisk, openHostOnDisk, person } from "./local-host.fixture.ts";
import type { LocalGitHost } from "./local-host.ts";
import { unrecordedPushes } from "./unrecorded-pushes.ts";

let disk: HostOnDisk;
let store: Store;
let host: LocalGitHost;
const files = { "src/a.ts": "export const a = 1;\n", "README.md": "# shop\n", "run.sh": "#!/bin/sh\necho 1\n" };

beforeAll(async () => {
  disk = await openHostOnDisk();
  ({ store, host } = disk);
});

afterAll(() => disk?.close());

async function seeded(): Promise<string> {
  const location = await disk.project(await disk.organization());
  await disk.commitByPerson(location, "main", files);
  return location;
}

gitHostContract(
  "local Git host",
  async (): Promise<HostUnderTest> => ({
    host,
    repository: async () => ({ location: await seeded(), files }),
    commitByPerson: (location, branch, path, content) => disk.commitByPerson(location, branch, { [path]: content }),
  }),
);

describe("local Git host, by hazard", () => {
  const change = async (location: string, branch: string) =>
    await host.commit(location, {
      branch,
      base: (await host.head(location, "main")) as string,
      message: "Change",
      files: [{ path: "src/b.ts", content: `// ${branch}\n` }],
    });
  const request = (head: string) => ({ title: "T", body: "B", head, base: "main", draft: true });

  test("a repository made twice at once is one, and a half-made one is never seen", async () => {
    const made = await Promise.all(
      [1, 2, 3].map(() => host.createRepository({ id: "prj_same", defaultBranch: "trunk" })),
    );
    expect(made).toEqual(Array(3).fill({ location: "prj_same", defaultBranch: "trunk" }));
    expect((await readdir(host.git.scratch)).filter((name) => name.startsWith("init-"))).toEqual([]);
  });

  test("killed between the moved branch and the row: the next look finds it merged by the same commit", async () => {
    const location = await seeded();
    await change(location, "tsdev/x/1");
    const pull = await host.openPullRequest(location, request("tsdev/x/1"));
    const commit = await host.merge(location, pull.number);
    await store.db
      .updateTable("pull_requests")
      .set({ state: "open", merge_commit: null, closed_at: null })
      .where("project_id", "=", location)
      .execute();
    expect(await host.pullRequests(location, { state: "open" })).toEqual([]);
    expect(await host.pullRequest(location, pull.number)).toMatchObject({ state: "merged", mergeCommit: commit });
    expect(await host.merge(location, pull.number)).toBe(commit);
    expect(await host.head(location, "main")).toBe(commit);
  });

  test("killed after the commit was made: the branch is put there by the repeat, with the same hash", async () => {
    const location = await seeded();
    const commit = await change(location, "tsdev/x/1");
    await host.git.run([`--git-dir=${host.repositoryPath(location)}`, "update-ref", "-d", "refs/heads/tsdev/x/1"]);
    expect(await change(location, "tsdev/x/1")).toBe(commit);
  });

  test("the lock of a git process that was killed holds up neither a commit nor a merge", async () => {
    const location = await seeded();
    const old = new Date(Date.now() - 10_000);
    const lock = async (ref: string) => {
      const path = join(host.repositoryPath(location), `${ref}.lock`);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, "");
      await utimes(path, old, old);
    };
    await lock("refs/heads/tsdev/x/1");
    await change(location, "tsdev/x/1");
    const pull = await host.openPullRequest(location, request("tsdev/x/1"));
    await lock("refs/heads/main");
    expect(await host.merge(location, pull.number)).toBe(await host.head(location, "main"));
    await lock("refs/heads/tsdev/x/1");
    await host.deleteBranch(location, "tsdev/x/1");
    expect(await host.head(location, "tsdev/x/1")).toBeNull();
  });

  test("merges of different pull requests at once all arrive", async () => {
    const location = await seeded();
    const numbers: number[] = [];
    for (const name of ["1", "2", "3", "4"]) {
      await host.commit(location, {
        branch: `tsdev/x/${name}`,
        base: (await host.head(location, "main")) as string,
        message: "m",
        files: [{ path: `src/${name}.ts`, content: name }],
      });
      numbers.push((await host.openPullRequest(location, request(`tsdev/x/${name}`))).number);
    }
    const commits = await Promise.all(numbers.map((number) => host.merge(location, number)));
    expect(new Set(commits).size).toBe(4);
    const head = (await host.head(location, "main")) as string;
    for (const name of ["1", "2", "3", "4"]) expect(await host.file(location, head, `src/${name}.ts`)).toBe(name);
  });

  test("a branch that a person reset to its base is emptied, not merged", async () => {
    const location = await seeded();
    await change(location, "tsdev/x/1");
    const pull = await host.openPullRequest(location, request("tsdev/x/1"));
    const main = (await host.head(location, "main")) as string;
    await host.git.run([`--git-dir=${host.repositoryPath(location)}`, "update-ref", "refs/heads/tsdev/x/1", main]);
    for (let look = 0; look < 3; look++) {
      expect(await host.pullRequest(location, pull.number)).toMatchObject({ state: "open" });
      expect(await host.diff(location, pull.number)).toBe("");
    }
  });

  test("a merge that a person pushed marks the pull request merged", async () => {
    const location = await seeded();
    const head = await change(location, "tsdev/x/1");
    const pull = await host.openPullRequest(location, request("tsdev/x/1"));
    await host.git.run([`--git-dir=${host.repositoryPath(location)}`, "update-ref", "refs/heads/main", head]);
    expect(await host.pullRequest(location, pull.number)).toMatchObject({ state: "merged", mergeCommit: head });
  });

  test("the diff outlives the branch, merged or closed", async () => {
    const location = await seeded();
    for (const [branch, end] of [
      ["tsdev/x/1", "close"],
      ["tsdev/x/2", "merge"],
    ] as const) {
      await change(location, branch);
      const pull = await host.openPullRequest(location, request(branch));
      await host[end](location, pull.number);
      await host.deleteBranch(location, branch);
      expect(await host.diff(location, pull.number)).toContain(`+// ${branch}`);
    }
  });

  test("another organization finds neither the repository nor its pull requests", async () => {
    const location = await seeded();
    await change(location, "tsdev/x/1");
    const pull = await host.openPullRequest(location, request("tsdev/x/1"));
    const stranger = host.forOrganization(await disk.organization());
    await expect(stranger.pullRequest(location, pull.number)).rejects.toMatchObject({ code: "not_found" });
    await expect(stranger.head(location, "main")).rejects.toMatchObject({ code: "not_found" });
    await expect(stranger.merge(location, pull.number)).rejects.toMatchObject({ code: "not_found" });
  });

  test.each(["../x", "/etc", "a/b", "-x", "", "x.git/..", "."])("the location %j is refused", async (location) => {
    await expect(host.head(location, "main")).rejects.toMatchObject({ code: "invalid_input", path: "location" });
    await expect(host.createRepository({ id: location, defaultBranch: "main" })).rejects.toMatchObject({
      code: "invalid_input",
    });
  });

  test("a symbolic link is not written through", async () => {
    const location = await seeded();
    const main = (await host.head(location, "main")) as string;
    const git = [`--git-dir=${host.repositoryPath(location)}`];
    const blob = (await host.git.run([...git, "hash-object", "-w", "--stdin"], { input: "/etc/passwd" })).stdout.trim();
    const tree = (await host.git.run([...git, "mktree"], { input: `120000 blob ${blob}\tlink\n` })).stdout.trim();
    const base = (
      await host.git.run([...git, "commit-tree", tree, "-p", main, "-m", "m"], { env: person })
    ).stdout.trim();
    await expect(
      host.commit(location, { branch: "x", base, message: "m", files: [{ path: "link", content: "root::0" }] }),
    ).rejects.toMatchObject({ code: "conflict", path: "link" });
  });

  test("heads that no push recorded are found, and only those", async () => {
    const organizationId = await disk.organization();
    const location = await disk.project(organizationId);
    const mine = async () =>
      (await unrecordedPushes({ host, db: store.db })).filter((push) => push.project.organizationId === organizationId);
    expect(await mine()).toEqual([]);
    const first = await disk.commitByPerson(location, "main", files);
    expect(await mine()).toEqual([
      {
        project: { id: location, organizationId, name: "shop", location },
        branch: "main",
        before: null,
        after: first,
        message: "by Ada",
        cause: "push",
      },
    ]);
    const record = (before: string | null, after: string) =>
      store.db
        .insertInto("pushes")
        .values({
          id: newId("psh"),
          organization_id: organizationId,
          project_id: location,
          branch: "main",
          before_commit: before,
          after_commit: after,
          pushed_by: "ada",
        })
        .execute();
    await record(null, first);
    expect(await mine()).toEqual([]);
    await change(location, "tsdev/x/1");
    expect(await mine()).toEqual([]);
    const pull = await host.openPullRequest(location, request("tsdev/x/1"));
    const merged = await host.merge(location, pull.number);
    expect(await mine()).toMatchObject([{ branch: "main", before: first, after: merged, cause: "merge" }]);
    await record(first, merged);
    expect(await mine()).toEqual([]);
  });
});
