// What a branch, a commit, a path and a location may look like, so that none of them is ever taken for an option or a way out.
import { TsdevError } from "../../sdk/errors.ts";

/** Who signs the commits that we make. A commit of anyone else on a branch of ours means: a person works there. */
export const ourIdentity = { name: "tsdev", email: "tsdev@localhost" } as const;

/** The rules of `git check-ref-format --branch`, and no leading dash. */
export function branchName(name: string): string {
  const bad =
    name.length === 0 ||
    name.length > 200 ||
    name === "@" ||
    name === "HEAD" ||
    name.startsWith("-") ||
    name.startsWith("refs/") ||
    name.endsWith(".") ||
    name.includes("..") ||
    name.includes("@{") ||
    // biome-ignore lint/suspicious/noControlCharactersInRegex: git forbids control characters in ref names
    /[\u0000-\u0020\u007f~^:?*[\\]/.test(name) ||
    name.split("/").some((part) => part === "" || part.startsWith(".") || part.endsWith(".lock"));
  if (bad) {
    throw new TsdevError("invalid_input", {
      message: `${JSON.stringify(name.slice(0, 80))} is not a branch name`,
      fix: "use letters, digits, dashes, dots and single slashes, as `git check-ref-format --branch` allows",
      path: "branch",
    });
  }
  return name;
}

export function commitHash(hash: string): string {
  if (!/^[0-9a-f]{40}$/.test(hash)) {
    throw new TsdevError("invalid_input", {
      message: `${JSON.stringify(hash.slice(0, 80))} is not a commit hash`,
      fix: "give the full 40 hexadecimal digits, as `git rev-parse` prints them",
      path: "commit",
    });
  }
  return hash;
}

/** A file's path from the repository's root, with slashes. */
export function filePath(path: string): string {
  const bad =
    path.length === 0 ||
    path.length > 4096 ||
    path.includes("\0") ||
    path.includes("\\") ||
    path.split("/").some((part) => part === "" || part === "." || part === ".." || /^\.git$/i.test(part));
  if (bad) {
    throw new TsdevError("invalid_input", {
      message: `${JSON.stringify(path.slice(0, 80))} is not a path in a repository`,
      fix: "give the path from the repository's root with slashes, without `.`, `..` and `.git`",
      path: "path",
    });
  }
  return path;
}

/** A local repository's location: one folder name, no separators. */
export function localLocation(location: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$/.test(location)) {
    throw new TsdevError("invalid_input", {
      message: `${JSON.stringify(location.slice(0, 80))} is not the location of a local repository`,
      fix: "use the project's git_location as it is stored",
      path: "location",
    });
  }
  return location;
}

/** `owner/name` on GitHub, in its two parts. */
export function githubLocation(location: string): { owner: string; repo: string } {
  const match = /^([A-Za-z0-9][A-Za-z0-9-]{0,38})\/([A-Za-z0-9_.-]{1,100})$/.exec(location);
  if (!match || match[2] === "." || match[2] === "..") {
    throw new TsdevError("invalid_input", {
      message: `${JSON.stringify(location.slice(0, 80))} is not a GitHub repository`,
      fix: "write it as owner/name",
      path: "location",
    });
  }
  return { owner: match[1] as string, repo: match[2] as string };
}
