// Run errors: what a caller is told of a run that is not there, or cannot be carried on here just now.
import { TsdevError } from "../errors.ts";

export function noRun(runId: string): TsdevError {
  return new TsdevError("not_found", { message: `no run "${runId}"`, fix: "check its id; old runs are deleted" });
}

export function handedOver(runId: string): TsdevError {
  return new TsdevError("unavailable", {
    message: `this process is closing; run "${runId}" is carried on by another`,
    fix: "ask again with the same runId",
  });
}

export function databaseAway(what: string, cause: unknown): TsdevError {
  return new TsdevError("unavailable", {
    message: `${what}: the workflow engine's database is away`,
    fix: "look at the database, then ask again with the same runId",
    cause,
  });
}
