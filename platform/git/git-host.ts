// The Git-host port: repositories, branches, commits and pull requests, on the local host and on GitHub alike.

export interface Repository {
  /** The host's own name for it: `shop` locally, `owner/name` on GitHub. */
  location: string;
  defaultBranch: string;
}

export interface FileChange {
  path: string;
  content: string;
}

export interface CommitOnBranch {
  branch: string;
  /** Commit the branch starts from; the branch is made when it does not exist. */
  base: string;
  message: string;
  files: FileChange[];
}

export interface PullRequest {
  number: number;
  url: string;
  title: string;
  body: string;
  head: string;
  base: string;
  draft: boolean;
  state: "open" | "merged" | "closed";
  mergeCommit: string | null;
  /** True when the head branch holds commits that we did not make. */
  touchedByOthers: boolean;
}

export interface PullRequestComment {
  id: string;
  author: string;
  body: string;
  createdAt: string;
}

/** What a commit says of itself. */
export interface CommitDescription {
  /** The first line of its message. */
  subject: string;
  /** The author's e-mail address. */
  author: string;
  parents: string[];
}

/** Every method is safe to repeat: asking again for what is already so answers what is there. */
export interface GitHost {
  readonly kind: "local" | "github";
  /** The commit at the head of a branch, or null where there is none. */
  head(location: string, branch: string): Promise<string | null>;
  branches(location: string): Promise<{ name: string; commit: string }[]>;
  /** Puts one commit with the given files on a branch and returns its hash. */
  commit(location: string, change: CommitOnBranch): Promise<string>;
  /** True when `ancestor` is the commit itself or in its history. */
  contains(location: string, commit: string, ancestor: string): Promise<boolean>;
  /** What the commit says of itself, or null where there is none. */
  describe(location: string, commit: string): Promise<CommitDescription | null>;
  /** The file's text at a commit, or null. */
  file(location: string, commit: string, path: string): Promise<string | null>;
  /** Opens a pull request, or returns the one already open for the branch; one closed for the branch is never reopened. */
  openPullRequest(
    location: string,
    request: { title: string; body: string; head: string; base: string; draft: boolean },
  ): Promise<PullRequest>;
  pullRequest(location: string, number: number): Promise<PullRequest | null>;
  /** Open and ended ones, newest first. */
  pullRequests(location: string, filter?: { head?: string; state?: PullRequest["state"] }): Promise<PullRequest[]>;
  updatePullRequest(
    location: string,
    number: number,
    change: { title?: string; body?: string; draft?: boolean },
  ): Promise<PullRequest>;
  /** Unified diff of the pull request against its merge base. */
  diff(location: string, number: number): Promise<string>;
  /** Comments once per `key`: a repeated call with the same key changes nothing. */
  comment(
    location: string,
    number: number,
    /** `author` is a person's name; without it, and always on GitHub, the comment is in tsdev's own name. */
    comment: { body: string; key: string; author?: string },
  ): Promise<PullRequestComment>;
  comments(location: string, number: number): Promise<PullRequestComment[]>;
  /** Merges with a merge commit and returns its hash; a conflict is a TsdevError `conflict`. */
  merge(location: string, number: number): Promise<string>;
  close(location: string, number: number): Promise<void>;
  deleteBranch(location: string, branch: string): Promise<void>;
  /** A work tree of the commit in `folder` (made, must be empty or absent), without history of others' secrets: files only. */
  checkout(location: string, commit: string, folder: string): Promise<void>;
}
