// Release: the immutable result of a build, and the configuration it was built with.
import { z } from "zod";

/** What the release needs at run time, as detected and as the app's configuration says. */
export const ReleaseConfig = z.object({
  service: z.string(),
  start: z.string(),
  health: z.string().nullable(),
  /** Until it has to be healthy; the runtime's own limit where it is missing. */
  healthTimeoutSeconds: z.number().optional(),
  database: z.enum(["postgres"]).nullable(),
  trace: z.boolean(),
  replay: z.object({ exclude: z.array(z.string()), normalise: z.array(z.string()) }),
});
export type ReleaseConfig = z.infer<typeof ReleaseConfig>;

export interface Release {
  id: string;
  commit: string;
  /** Absolute path of the folder. */
  folder: string;
  config: ReleaseConfig;
}
