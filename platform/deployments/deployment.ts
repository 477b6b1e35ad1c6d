// Deployment: a release made live in an environment, and every state it passes.
import { z } from "zod";
import { type ErrorCode, errorCodes } from "../../sdk/errors.ts";

export const ErrorShape = z.object({
  code: z.enum(Object.keys(errorCodes) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  fix: z.string(),
  path: z.string().optional(),
});

export const DeploymentStatus = z.enum(["queued", "building", "starting", "live", "superseded", "failed", "canceled"]);
export type DeploymentStatus = z.infer<typeof DeploymentStatus>;

export const Deployment = z.object({
  id: z.string(),
  project: z.string(),
  environment: z.string(),
  service: z.string(),
  commit: z.string(),
  commitMessage: z.string(),
  cause: z.enum(["push", "merge", "rollback", "scale", "manual"]),
  status: DeploymentStatus,
  /** Why it failed or was canceled. */
  reason: ErrorShape.nullable(),
  release: z.string().nullable(),
  url: z.string(),
  createdAt: z.iso.datetime(),
  liveAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  /** From the push (or the request) to healthy and switched, in seconds. */
  pushToHealthySeconds: z.number().nullable(),
  /** Where the time went, in seconds. */
  phases: z.object({ queued: z.number().nullable(), build: z.number().nullable(), start: z.number().nullable() }),
  instances: z.array(z.object({ id: z.string(), state: z.string(), pid: z.int(), startedAt: z.string() })),
});
export type Deployment = z.infer<typeof Deployment>;

/** One line of a build's log. */
export const BuildLogLine = z.object({
  time: z.iso.datetime(),
  stream: z.enum(["stdout", "stderr", "system"]),
  text: z.string(),
});
export type BuildLogLine = z.infer<typeof BuildLogLine>;
