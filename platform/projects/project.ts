// Project and environment: what an organization owns, and where versions of it live.
import { z } from "zod";

/** Lower case letters, digits and dashes: it is part of a host name. */
export const ProjectName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, "use 1 to 40 lower case letters, digits and dashes");
export const EnvironmentName = ProjectName;

/** How every operation names where it acts; there is no selected workspace. */
export const EnvironmentRef = z.object({
  project: ProjectName,
  environment: EnvironmentName.default("production"),
});

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
  createdAt: z.iso.datetime(),
  environments: z.array(Environment),
});
export type Project = z.infer<typeof Project>;
export type Environment = z.infer<typeof Environment>;
