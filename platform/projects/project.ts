// Project and environment: what an organization owns, and where versions of it live.
import { z } from "zod";

/** Lower case letters, digits and dashes: it is part of a host name. */
export const ProjectName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, "use 1 to 40 lower case letters, digits and dashes");
export const EnvironmentName = ProjectName;

/** `owner/name` on GitHub. */
export const GitHubRepository = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,38}\/(?!\.{1,2}$)[A-Za-z0-9_.-]{1,100}$/, "write it as owner/name");

/** How every operation names where it acts; there is no selected workspace. */
export const EnvironmentRef = z.object({
  project: ProjectName,
  environment: EnvironmentName.default("production"),
});

/** How many pull requests tsdev may open by itself; a person's request is not limited. */
export const ProjectSettings = z.object({
  pullRequests: z
    .object({
      automatic: z.boolean().default(true),
      maxOpen: z.int().min(0).max(50).default(3),
      perHour: z.int().min(0).max(100).default(1),
    })
    .prefault({}),
});
export type ProjectSettings = z.infer<typeof ProjectSettings>;

export const Environment = z.object({
  name: EnvironmentName,
  branch: z.string(),
  replicas: z.int(),
  url: z.string(),
  liveDeployment: z.string().nullable(),
});

export const Project = z.object({
  id: z.string(),
  name: ProjectName,
  defaultBranch: z.string(),
  /** Where to push: `git push URL main`. */
  git: z.string(),
  /** `local` is this platform itself. */
  gitHost: z.enum(["local", "github"]),
  createdAt: z.iso.datetime(),
  settings: ProjectSettings,
  environments: z.array(Environment),
});
export type Project = z.infer<typeof Project>;
export type Environment = z.infer<typeof Environment>;
