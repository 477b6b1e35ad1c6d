// The contract of the Git-host port: one suite that every host passes.
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { GitHost, PullRequest } from "./git-host.ts";

export interface HostUnderTest {
  host: GitHost;
  /** A fresh repository with one commit on `main`, and the files it holds there. */
  repository(): Promise<{ location: string; files: Record<string, string> }>;
  /** A commit on a branch by somebody else. */
  commitByPerson(location: string, branch: string, path: string, content: string): Promise<string>;
}

/** What a server that stands in for the real one cannot do; each is named in the head of the file that says so. */
export interface Gaps {
  mergesKeepBase?: boolean;
  conflicts?: boolean;
  headFollowsBranch?: boolean;
}

export function gitHostContract(name: string, open: () => Promise<HostUnderTest>, gaps: Gaps = {}): void {
  describe(name, () => {
    let under: HostUnderTest;
    let host: GitHost;
    let location: string;
    let files: Record<string, string>;
    let main: string;

    beforeEach(async () => {
      under = await open();
      host = under.host;
      ({ location, files } = await under.repository());
      main = (await host.head(location, "main")) as string;
      expect(main).toMatch(/^[0-9a-f]{40}$/);
    });

    const change = (branch: string, content = "export const a = 2;\n", path = "src/a.ts") =>
      host.commit(location, { branch, base: main, message: "Change a", files: [{ path, content }] });

    async function opened(branch: string, draft = false): Promise<PullRequest> {
      await change(branch, `export const a = "${branch}";\n`, `src/${branch.replaceAll("/", "-")}.ts`);
      return await host.openPullRequest(location, request(branch, draft));
    }
    const request = (head: string, draft = false) => ({
      title: `Fix ${head}`,
      body: "Because.",
      head,
      base: "main",
      draft,
    });

    test("a commit makes the branch, changes the named files and keeps the others", async () => {
      const commit = await change("tsdev/x/1");
      expect(await host.head(location, "tsdev/x/1")).toBe(commit);
      expect(await host.head(location, "main")).toBe(main);
      expect(await host.file(location, commit, "src/a.ts")).toBe("export const a = 2;\n");
      for (const [path, content] of Object.entries(files)) {
        if (path !== "src/a.ts") expect(await host.file(location, commit, path)).toBe(content);
      }
      expect(await host.branches(location)).toEqual(
        expect.arrayContaining([
          { name: "main", commit: main },
          { name: "tsdev/x/1", commit },
        ]),
      );
      expect(await host.describe(location, commit)).toEqual({
        subject: "Change a",
        author: "tsdev@localhost",
        parents: [main],
      });
      expect(await host.contains(location, commit, main)).toBe(true);
      expect(await host.contains(location, main, commit)).toBe(false);
    });

    test("the same commit again is the same hash, also after its branch was lost", async () => {
      const first = await change("tsdev/x/1");
      expect(await change("tsdev/x/1")).toBe(first);
      await host.deleteBranch(location, "tsdev/x/1");
      expect(await host.head(location, "tsdev/x/1")).toBeNull();
      expect(await change("tsdev/x/1")).toBe(first);
    });

    test("a second change goes on top of the branch, and a repeat of the first leaves it there", async () => {
      const first = await change("tsdev/x/1");
      const second = await change("tsdev/x/1", "export const b = 1;\n", "src/b.ts");
      expect((await host.describe(location, second))?.parents).toEqual([first]);
      expect(await host.file(location, second, "src/a.ts")).toBe("export const a = 2;\n");
      expect(await change("tsdev/x/1")).toBe(first);
      expect(await change("tsdev/x/1", "export const b = 1;\n", "src/b.ts")).toBe(second);
      expect(await host.head(location, "tsdev/x/1")).toBe(second);
    });

    test("what is not there is null, and a commit over an unknown base is refused", async () => {
      const unknown = "1".repeat(40);
      expect(await host.head(location, "nope")).toBeNull();
      expect(await host.file(location, main, "nope.ts")).toBeNull();
      expect(await host.file(location, main, "src")).toBeNull();
      expect(await host.file(location, unknown, "src/a.ts")).toBeNull();
      expect(await host.describe(location, unknown)).toBeNull();
      expect(await host.pullRequest(location, 4711)).toBeNull();
      await expect(
        host.commit(location, { branch: "x", base: unknown, message: "m", files: [{ path: "a", content: "" }] }),
      ).rejects.toMatchObject({ code: "not_found" });
    });

    test.each([
      "-x",
      "--upload-pack=sh",
      "a..b",
      "../x",
      "/x",
      "x/",
      "a//b",
      "a b",
      "x.lock",
      ".x",
      "x~1",
      "x:y",
      "@{-1}",
      "",
      "a\nb",
      "refs/heads/x",
    ])("the branch name %j is refused", async (branch) => {
      const refused = expect.objectContaining({ code: "invalid_input", path: "branch" });
      await expect(host.head(location, branch)).rejects.toEqual(refused);
      await expect(change(branch)).rejects.toEqual(refused);
      await expect(host.openPullRequest(location, request(branch))).rejects.toEqual(refused);
      await expect(host.deleteBranch(location, branch)).rejects.toEqual(refused);
    });

    test.each(["../x", "/etc/passwd", "a/../../x", ".git/config", "a/.GIT/hooks/x", "a//b", "", "a\0b"])(
      "the file path %j is refused",
      async (path) => {
        await expect(change("tsdev/x/1", "x", path)).rejects.toMatchObject({ code: "invalid_input", path: "path" });
        await expect(host.file(location, main, path)).rejects.toMatchObject({ code: "invalid_input", path: "path" });
      },
    );

    test("a branch has one open pull request, however often and at once it is asked for", async () => {
      await change("tsdev/x/1");
      const all = await Promise.all([1, 2, 3].map(() => host.openPullRequest(location, request("tsdev/x/1"))));
      const again = await host.openPullRequest(location, request("tsdev/x/1"));
      expect(new Set([...all, again].map((pull) => pull.number)).size).toBe(1);
      expect(again).toMatchObject({
        title: "Fix tsdev/x/1",
        body: "Because.",
        head: "tsdev/x/1",
        base: "main",
        draft: false,
        state: "open",
        mergeCommit: null,
        touchedByOthers: false,
      });
      expect(again.url).toContain(String(again.number));
      expect(await host.pullRequest(location, again.number)).toEqual(again);
    });

    test("pull requests opened at once for several branches get numbers of their own", async () => {
      const branches = ["tsdev/x/1", "tsdev/x/2", "tsdev/x/3", "tsdev/x/4"];
      const all = await Promise.all(branches.map((branch) => opened(branch)));
      expect(new Set(all.map((pull) => pull.number)).size).toBe(4);
      const listed = await host.pullRequests(location, { state: "open" });
      expect(listed.map((pull) => pull.number)).toEqual(all.map((pull) => pull.number).sort((a, b) => b - a));
      expect(await host.pullRequests(location, { head: "tsdev/x/2" })).toHaveLength(1);
    });

    test("a pull request needs a branch that is there and has something to merge", async () => {
      await expect(host.openPullRequest(location, request("nope"))).rejects.toMatchObject({ code: "not_found" });
      await host.commit(location, { branch: "empty", base: main, message: "m", files: [{ path: "x", content: "x" }] });
      await expect(host.openPullRequest(location, { ...request("empty"), base: "nope" })).rejects.toMatchObject({
        code: "not_found",
      });
      await expect(host.openPullRequest(location, { ...request("main"), base: "empty" })).rejects.toMatchObject({
        code: "git_rejected",
      });
    });

    test("title, body and draft can be changed", async () => {
      const { number } = await opened("tsdev/x/1", true);
      expect(await host.pullRequest(location, number)).toMatchObject({ draft: true });
      expect(await host.updatePullRequest(location, number, { body: "Better." })).toMatchObject({
        title: "Fix tsdev/x/1",
        body: "Better.",
        draft: true,
      });
      expect(await host.updatePullRequest(location, number, { title: "T", draft: false })).toMatchObject({
        title: "T",
        body: "Better.",
        draft: false,
      });
      await expect(host.updatePullRequest(location, 4711, { title: "T" })).rejects.toMatchObject({ code: "not_found" });
    });

    test("the diff is what the branch changed since it left its base, whatever the base did since", async () => {
      await change("tsdev/x/1");
      const pull = await host.openPullRequest(location, request("tsdev/x/1"));
      await under.commitByPerson(location, "main", "src/elsewhere.ts", "export const c = 3;\n");
      const diff = await host.diff(location, pull.number);
      expect(diff).toContain("diff --git a/src/a.ts b/src/a.ts");
      expect(diff).toContain("-export const a = 1;\n");
      expect(diff).toContain("+export const a = 2;\n");
      expect(diff).not.toContain("elsewhere");
    });

    test("a comment of one key is there once, with its text as it was first", async () => {
      const { number } = await opened("tsdev/x/1");
      const key = "verdict:dep_1 --> <x>";
      const first = await host.comment(location, number, { key, body: "held" });
      const again = await Promise.all(
        [1, 2, 3].map(() => host.comment(location, number, { key, body: "did not hold" })),
      );
      for (const comment of again) expect(comment).toEqual(first);
      await host.comment(location, number, { key: "other", body: "and more" });
      expect((await host.comments(location, number)).map((comment) => comment.body)).toEqual(["held", "and more"]);
      await expect(host.comment(location, 4711, { key, body: "x" })).rejects.toMatchObject({ code: "not_found" });
    });

    test("a merge puts both parents under one commit on the base, and again answers the same", async () => {
      const pull = await opened("tsdev/x/1");
      const commit = await host.merge(location, pull.number);
      expect(await host.head(location, "main")).toBe(commit);
      expect((await host.describe(location, commit))?.parents).toEqual([main, await host.head(location, "tsdev/x/1")]);
      expect(await host.file(location, commit, "src/tsdev-x-1.ts")).toBe('export const a = "tsdev/x/1";\n');
      expect(await host.merge(location, pull.number)).toBe(commit);
      expect(await host.head(location, "main")).toBe(commit);
      expect(await host.pullRequest(location, pull.number)).toMatchObject({ state: "merged", mergeCommit: commit });
      expect(await host.diff(location, pull.number)).toContain('+export const a = "tsdev/x/1";');
      expect(await host.pullRequests(location, { state: "merged" })).toHaveLength(1);
    });

    test("two merges of one pull request at once make one merge commit", async () => {
      const pull = await opened("tsdev/x/1");
      const commits = await Promise.all(Array.from({ length: 8 }, () => host.merge(location, pull.number)));
      expect(new Set(commits).size).toBe(1);
      expect((await host.describe(location, commits[0] as string))?.parents).toHaveLength(2);
      expect(await host.head(location, "main")).toBe(commits[0]);
    });

    test("a draft is made ready when it is merged", async () => {
      const pull = await opened("tsdev/x/1", true);
      await host.merge(location, pull.number);
      expect(await host.pullRequest(location, pull.number)).toMatchObject({ state: "merged", draft: false });
    });

    test("after a merge the same pull request answers for its branch; with a new commit a new one is opened", async () => {
      const pull = await opened("tsdev/x/1");
      await host.merge(location, pull.number);
      expect((await host.openPullRequest(location, request("tsdev/x/1"))).number).toBe(pull.number);
      await change("tsdev/x/1", "export const again = 1;\n", "src/again.ts");
      expect((await host.openPullRequest(location, request("tsdev/x/1"))).number).toBeGreaterThan(pull.number);
      await host.deleteBranch(location, "tsdev/x/1");
      await host.deleteBranch(location, "tsdev/x/1");
    });

    test("one that was closed unmerged is neither opened again nor merged", async () => {
      const pull = await opened("tsdev/x/1");
      await host.close(location, pull.number);
      await host.close(location, pull.number);
      expect(await host.pullRequest(location, pull.number)).toMatchObject({ state: "closed", mergeCommit: null });
      await expect(host.openPullRequest(location, request("tsdev/x/1"))).rejects.toMatchObject({
        code: "conflict",
        message: expect.stringContaining(`#${pull.number}`),
      });
      await expect(host.merge(location, pull.number)).rejects.toMatchObject({ code: "conflict" });
      expect(await host.head(location, "main")).toBe(main);
    });

    test("a checkout holds the files of the commit and nothing of git", async () => {
      const commit = await change("tsdev/x/1");
      const parent = await mkdtemp(join(tmpdir(), "tsdev-checkout-"));
      try {
        const folder = join(parent, "work");
        await host.checkout(location, commit, folder);
        expect(await readFile(join(folder, "src/a.ts"), "utf8")).toBe("export const a = 2;\n");
        expect((await stat(join(folder, "run.sh"))).mode & 0o111).not.toBe(0);
        expect(await readdir(folder)).not.toContain(".git");
        expect(await readdir(parent)).toEqual(["work"]);
        await expect(host.checkout(location, commit, folder)).rejects.toMatchObject({ code: "conflict" });
        await expect(host.checkout(location, "1".repeat(40), join(parent, "other"))).rejects.toMatchObject({
          code: "not_found",
        });
        expect(await readdir(parent)).toEqual(["work"]);
      } finally {
        await rm(parent, { recursive: true, force: true });
      }
    });

    test("a changed file keeps its executable bit", async () => {
      const commit = await change("tsdev/x/1", "#!/bin/sh\necho 2\n", "run.sh");
      const parent = await mkdtemp(join(tmpdir(), "tsdev-checkout-"));
      await host.checkout(location, commit, join(parent, "work"));
      expect((await stat(join(parent, "work/run.sh"))).mode & 0o111).not.toBe(0);
      await rm(parent, { recursive: true, force: true });
    });

    test("a commit of a person on the branch is seen", async () => {
      const pull = await opened("tsdev/x/1");
      expect(pull.touchedByOthers).toBe(false);
      await under.commitByPerson(location, "tsdev/x/1", "src/mine.ts", "export const mine = 1;\n");
      expect(await host.pullRequest(location, pull.number)).toMatchObject({ touchedByOthers: true });
    });

    test("our commit on top of a person's keeps the person's work", async () => {
      await change("tsdev/x/1");
      const theirs = await under.commitByPerson(location, "tsdev/x/1", "src/mine.ts", "export const mine = 1;\n");
      const ours = await change("tsdev/x/1", "export const b = 1;\n", "src/b.ts");
      expect((await host.describe(location, ours))?.parents).toEqual([theirs]);
      expect(await host.file(location, ours, "src/mine.ts")).toBe("export const mine = 1;\n");
    });

    test.skipIf(gaps.mergesKeepBase === false)("a merge keeps what the base has gained meanwhile", async () => {
      const pull = await opened("tsdev/x/1");
      const theirs = await under.commitByPerson(location, "main", "src/elsewhere.ts", "export const c = 3;\n");
      const commit = await host.merge(location, pull.number);
      expect((await host.describe(location, commit))?.parents[0]).toBe(theirs);
      expect(await host.file(location, commit, "src/elsewhere.ts")).toBe("export const c = 3;\n");
      expect(await host.file(location, commit, "src/tsdev-x-1.ts")).toBe('export const a = "tsdev/x/1";\n');
    });

    test.skipIf(gaps.headFollowsBranch === false)(
      "a merge takes what the branch gained since it was opened",
      async () => {
        const pull = await opened("tsdev/x/1");
        await under.commitByPerson(location, "tsdev/x/1", "src/mine.ts", "export const mine = 1;\n");
        const commit = await host.merge(location, pull.number);
        expect(await host.file(location, commit, "src/mine.ts")).toBe("export const mine = 1;\n");
      },
    );

    test.skipIf(gaps.conflicts === false)("a conflict is refused, names the file and moves nothing", async () => {
      await change("tsdev/x/1");
      const pull = await host.openPullRequest(location, request("tsdev/x/1"));
      const theirs = await under.commitByPerson(location, "main", "src/a.ts", "export const a = 3;\n");
      await expect(host.merge(location, pull.number)).rejects.toMatchObject({
        code: "conflict",
        message: expect.stringContaining("src/a.ts"),
      });
      expect(await host.head(location, "main")).toBe(theirs);
      expect(await host.pullRequest(location, pull.number)).toMatchObject({ state: "open" });
    });
  });
}
