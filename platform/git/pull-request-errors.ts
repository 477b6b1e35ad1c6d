// What goes wrong with pull requests, in the same words on every Git host.
import { TsdevError } from "../../sdk/errors.ts";

export function noSuchPullRequest(project: string, number: number): TsdevError {
  return new TsdevError("not_found", {
    message: `no pull request #${number} in ${project}`,
    fix: "list the pull requests of the project to see their numbers",
    path: "number",
  });
}

export function closedForGood(number: number, branch: string): TsdevError {
  return new TsdevError("conflict", {
    message: `pull request #${number} for ${branch} was closed without a merge; it is not opened again`,
    fix: "a person reopens it, or the change comes from another branch",
  });
}

export function noBranch(branch: string): TsdevError {
  return new TsdevError("not_found", {
    message: `no branch ${branch} in this repository`,
    fix: "push the branch first, or check its spelling",
    path: "branch",
  });
}
