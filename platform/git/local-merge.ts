// What a local pull request's row and its branches say together: where its head is, whether it is merged, and the merge itself.
import { TsdevError } from "../../sdk/errors.ts";
import type { BareRepository } from "./bare-repository.ts";
import type { LocalPullRequests, ProjectOfRepository, PullRequestRow } from "./local-pull-requests.ts";
import { closedForGood, noBranch, noSuchPullRequest } from "./pull-request-errors.ts";

/** One project's repository and the rows that belong to it. */
export interface Place {
  owner: ProjectOfRepository;
  repo: BareRepository;
  pulls: LocalPullRequests;
}

const keptRef = (number: number) => `refs/pull/${number}/head`;

/** Base and head of an open pull request as the branches are now; the head of a deleted branch is what was kept of it. */
async function tips({ repo }: Place, row: PullRequestRow) {
  const base = await repo.resolve(`refs/heads/${row.base_branch}`);
  const branch = await repo.resolve(`refs/heads/${row.head_branch}`);
  const kept = await repo.resolve(keptRef(row.number));
  const contains = async (commit: string | null) =>
    base !== null && commit !== null && (await repo.isAncestor(commit, base));
  return { base, branch, kept, contains };
}

/** The head of a pull request. In passing it is kept under `refs/pull/`, where it outlives its branch. */
export async function headOf(place: Place, row: PullRequestRow): Promise<string | null> {
  if (row.state !== "open") return await place.repo.resolve(keptRef(row.number));
  const { branch, kept, contains } = await tips(place, row);
  if (branch === null) return kept;
  // A branch that lies within its base was merged or emptied; what was kept tells which, so it stays.
  if (branch !== kept && (kept === null || !(await contains(branch))))
    await place.repo.put(keptRef(row.number), branch);
  return branch;
}

/** Puts a row right whose merge reached the branch but not the row: we were killed, or a person pushed the merge. */
export async function settled(place: Place, row: PullRequestRow): Promise<PullRequestRow> {
  if (row.state !== "open") return row;
  const { base, branch, kept, contains } = await tips(place, row);
  const head = branch ?? kept;
  if (head === null || base === null || !(await contains(head))) return row;
  // Reset by a person to a commit that the base has: emptied, not merged.
  if (kept !== null && kept !== head && !(await contains(kept))) return row;
  await place.repo.put(keptRef(row.number), head);
  await place.pulls.merged(row.number, await place.repo.mergeOf(head, base));
  return (await place.pulls.get(row.number)) ?? row;
}

/** The pull request as it is now, or `not_found`. */
export async function found(place: Place, number: number): Promise<PullRequestRow> {
  const row = await place.pulls.get(number);
  if (row) return await settled(place, row);
  throw noSuchPullRequest(place.owner.name, number);
}

/** The two commits that its diff is between; null where a branch is gone for good. */
export async function comparison(place: Place, row: PullRequestRow): Promise<{ base: string; head: string } | null> {
  const head = await headOf(place, row);
  if (head === null) return null;
  if (row.state === "merged" && row.merge_commit !== null && row.merge_commit !== head) {
    const before = (await place.repo.describe(row.merge_commit))?.parents[0];
    return before === undefined ? null : { base: before, head };
  }
  const base = await place.repo.resolve(`refs/heads/${row.base_branch}`);
  return base === null ? null : { base, head };
}

/** What is so for the branch already, in place of a new pull request; null where a new one is due, else why there is none. */
export async function endedOrNew(
  place: Place,
  ended: PullRequestRow[],
  request: { head: string; base: string },
): Promise<PullRequestRow | null> {
  const last = ended[0];
  if (last?.state === "closed") throw closedForGood(last.number, last.head_branch);
  const head = await place.repo.resolve(`refs/heads/${request.head}`);
  const base = await place.repo.resolve(`refs/heads/${request.base}`);
  if (last && head === null) return last;
  if (head === null) throw noBranch(request.head);
  if (base === null) throw noBranch(request.base);
  if (!(await place.repo.isAncestor(head, base))) return null;
  if (last) return last;
  throw new TsdevError("git_rejected", {
    message: `${request.head} has no commits that ${request.base} lacks`,
    fix: "commit the change to the branch first",
  });
}

/** Merges with a merge commit; of two at once, the one that moves the branch second answers the commit of the first. */
export async function merge(place: Place, number: number): Promise<string> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const row = await place.pulls.get(number);
    if (row === null) throw noSuchPullRequest(place.owner.name, number);
    if (row.state === "merged" && row.merge_commit !== null) return row.merge_commit;
    if (row.state === "closed") {
      throw new TsdevError("conflict", {
        message: `pull request #${row.number} was closed without a merge`,
        fix: "open a new one from another branch",
      });
    }
    const head = await headOf(place, row);
    const base = await place.repo.resolve(`refs/heads/${row.base_branch}`);
    if (base === null) throw noBranch(row.base_branch);
    if (head === null) throw noBranch(row.head_branch);
    // Asked of the very commit that the merge is built on: another merge may arrive between two looks at the branch.
    if (await place.repo.isAncestor(head, base)) {
      const now = await settled(place, row);
      if (now.state === "merged" && now.merge_commit !== null) return now.merge_commit;
      throw new TsdevError("git_rejected", {
        message: `${row.head_branch} has no commits that ${row.base_branch} lacks`,
        fix: "close the pull request, or push the change to its branch again",
      });
    }
    const message = `Merge pull request #${row.number} from ${row.head_branch}\n\n${row.title}\n`;
    const merged = await place.repo.mergeCommit(base, head, message);
    if (!merged.ok) {
      throw new TsdevError("conflict", {
        message: `pull request #${row.number} conflicts with ${row.base_branch} in ${merged.conflicts.join(", ")}`,
        fix: `merge ${row.base_branch} into ${row.head_branch}, resolve the conflict, push, and merge again`,
      });
    }
    if (await place.repo.move(`refs/heads/${row.base_branch}`, merged.commit, base)) {
      await place.pulls.merged(row.number, merged.commit);
      return merged.commit;
    }
  }
  throw new TsdevError("conflict", {
    message: "the base branch was moved by others each time we tried",
    fix: "merge again in a moment",
  });
}
