// Out of step: tells from an install's output that the lockfile is not of this package.json, and what differs.
import { TsdevError } from "../../sdk/errors.ts";
import type { Detected } from "./detect.ts";

/** How npm, pnpm and yarn say it. */
const mismatch = /npm ci` can only install|ERR_PNPM_OUTDATED_LOCKFILE|lockfile (would have been|needs to be) /;
/** The lines in which npm names the places, ahead of a page of help. */
const named = /^npm error ((Missing|Invalid): .+)$/;
const shownPlaces = 5;

/** The error to throw in place of `cause`; null where the install failed for another reason. */
export function outOfStep(output: string[], { manager, lockfile }: Detected, cause: unknown): TsdevError | null {
  if (!lockfile || !output.some((line) => mismatch.test(line))) return null;
  const places = output.flatMap((line) => named.exec(line)?.[1] ?? []).slice(0, shownPlaces);
  return new TsdevError("build_failed", {
    message: `${lockfile.file} and package.json are not in sync${places.map((place) => `\n${place}`).join("")}`,
    fix: `run \`${manager} install\`, commit the changed ${lockfile.file}, and push again`,
    cause,
  });
}
