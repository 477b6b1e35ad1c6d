// Config: the contract of `tsdev.config.ts` and of `"tsdev"` in package.json.
import { z } from "zod";
import { TsdevError } from "./errors.ts";
import { nearest } from "./nearest.ts";

/** What detection cannot know of an app. Every key is optional. */
export const AppConfig = z.strictObject({
  /** The project's name. Default: the name in package.json. */
  name: z.string().min(1).max(63).optional(),
  /** Gives the app a database of its own at DATABASE_URL. */
  database: z.literal("postgres").optional(),
  /** The command that builds. Default: the `build` script. */
  build: z.string().min(1).optional(),
  /** The command that starts. Default: the `start` script. */
  start: z.string().min(1).optional(),
  /** The path that says healthy. Default: `/readyz`, else `/`. */
  health: z.string().startsWith("/").optional(),
  /** How long a new version may take until it is healthy, in seconds. Default: 30. */
  healthTimeoutSeconds: z.int().min(1).max(600).optional(),
  /** False turns the tracing hook off. */
  trace: z.boolean().optional(),
  /** What may be recorded and how answers are compared in a replay. */
  replay: z
    .strictObject({
      /** Routes that are never recorded, for example `/login`. */
      exclude: z.array(z.string()).optional(),
      /** Keys of answers that differ from run to run and are not compared, for example `generatedAt`. */
      normalise: z.array(z.string()).optional(),
    })
    .optional(),
});
export type AppConfig = z.infer<typeof AppConfig>;

/**
 * Types `tsdev.config.ts`. Throws `invalid_config`; for an unknown key it names the nearest known one.
 *
 * @example
 * export default defineConfig({ database: "postgres", health: "/healthz" });
 */
export function defineConfig(config: AppConfig): AppConfig {
  return parseConfig(config);
}

/** The same for a value from outside, such as `"tsdev"` in package.json. */
export function parseConfig(value: unknown): AppConfig {
  const parsed = AppConfig.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const place = issue?.path.map(String) ?? [];
  if (issue?.code === "unrecognized_keys") {
    const unknownKey = issue.keys[0] ?? "";
    const known = Object.keys(place[0] === "replay" ? AppConfig.shape.replay.unwrap().shape : AppConfig.shape);
    throw new TsdevError("invalid_config", {
      message: `unknown key "${[...place, unknownKey].join(".")}" in the tsdev configuration`,
      fix: `did you mean "${[...place, nearest(unknownKey, known)].join(".")}"? Known keys: ${known.join(", ")}`,
      path: [...place, unknownKey].join("."),
    });
  }
  throw new TsdevError("invalid_config", {
    message: `"${place.join(".")}" in the tsdev configuration: ${issue?.message ?? "wrong value"}`,
    fix: 'correct the value in tsdev.config.ts or under "tsdev" in package.json',
    path: place.join("."),
  });
}
