// Files of the data directory that only the owner reads: a random secret that is made once, and errors of the directory.
import { randomBytes } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { TsdevError } from "../../sdk/errors.ts";

/**
 * The secret kept in a file, made the first time: 192 random bits as text that is safe in a URL, mode 0600.
 * Two processes at once get the same one, and a process killed in the middle leaves no half-written file.
 */
export async function keptSecret(path: string): Promise<string> {
  const kept = await read(path);
  if (kept !== null) return kept;
  const draft = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    await writeFile(draft, randomBytes(24).toString("base64url"), { mode: 0o600, flag: "wx", flush: true });
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return (await read(path)) ?? keptSecret(path);
}

async function read(path: string): Promise<string | null> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text.trim() === "" ? null : text.trim();
}

const reasons: Record<string, string> = {
  EACCES: "is not allowed for this user",
  EPERM: "is not allowed for this user",
  EROFS: "is on a read-only file system",
  ENOSPC: "is on a full disk",
  EDQUOT: "is over its quota",
  ENOTDIR: "is below a file that is not a folder",
  EEXIST: "is a file and not a folder",
  // What Node says of `mkdir` below a read-only mount, or on a disk that is gone.
  ENOENT: "cannot be made there (a read-only or missing disk)",
};

/** How Postgres and the C library say that a disk is full. */
export const diskFull = /No space left|Check free disk space|quota exceeded/i;

/** An error of the file system or of the server's log as `data_directory_unwritable`; any other error as it is. */
export function directoryError(directory: string, error: unknown): TsdevError {
  if (TsdevError.is(error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const reason =
    reasons[code ?? ""] ??
    (diskFull.test(message)
      ? "is on a full disk"
      : /Read-only/.test(message)
        ? "is on a read-only file system"
        : /Permission denied/.test(message)
          ? "is not allowed for the user that Postgres runs as"
          : undefined);
  if (reason === undefined) return TsdevError.from(error);
  return new TsdevError("data_directory_unwritable", {
    message: `writing to the data directory ${directory} fails: it ${reason}`,
    fix: "free space, or choose another place with --data DIR that this user can write to",
    cause: error,
  });
}

/**
 * What work on the platform threw as a TsdevError: a disk that is full or read-only as `data_directory_unwritable`, said by
 * the file system or by Postgres; anything else as `TsdevError.from` has it.
 */
export function diskError(thrown: unknown): TsdevError {
  if (TsdevError.is(thrown) || !(thrown instanceof Error)) return TsdevError.from(thrown);
  const { code = "" } = thrown as NodeJS.ErrnoException;
  if (!["ENOSPC", "EDQUOT", "EROFS"].includes(code) && !diskFull.test(thrown.message)) return TsdevError.from(thrown);
  return new TsdevError("data_directory_unwritable", {
    message: `the platform cannot write to its data directory, which ${reasons[code] ?? "is on a full disk"}`,
    fix: "free some space there, then try again; what runs goes on running",
    cause: thrown,
  });
}
