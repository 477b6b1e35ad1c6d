// Checks the options of nodes when a workflow is declared, so that a wrong one fails at start and not in a run.
import { z } from "zod";
import { TsdevError } from "../errors.ts";
import { nearest } from "../nearest.ts";

/** Timers of runs are rows, not timers of Node: 100 years, which a date can still carry. */
const longestMs = 3_155_760_000_000;
const Duration = z.number().positive().max(longestMs);
const Pause = z.number().min(0).max(longestMs);
const Code = z.custom<(...args: never[]) => unknown>((value) => typeof value === "function", "must be a function");

const schemas = {
  step: z.strictObject({ as: z.string().optional(), with: Code.optional() }),
  compensate: z.strictObject({ with: Code.optional() }),
  each: z.strictObject({
    concurrency: z.int().min(1).max(10_000).optional(),
    onError: z.literal("collect").optional(),
  }),
  repeat: z.strictObject({ until: Code, maxTimes: z.int().min(1).max(1_000_000), everyMs: Pause.optional() }),
  sleep: z.union([z.strictObject({ ms: Pause }), z.strictObject({ until: Code })]),
  waitFor: z.strictObject({
    key: Code.optional(),
    timeoutMs: Duration.optional(),
    onTimeout: z.literal("continue").optional(),
  }),
  approve: z.strictObject({
    timeoutMs: Duration.optional(),
    onTimeout: z.literal("reject").optional(),
    onReject: z.literal("continue").optional(),
  }),
  call: z.strictObject({ as: z.string().optional(), with: Code.optional() }),
  workflow: z.strictObject({
    concurrency: z.strictObject({ limit: z.int().min(1), key: Code.optional() }).optional(),
    previous: z.array(z.custom((value) => isWorkflow(value), "must be a workflow")).optional(),
  }),
};

/** Throws `invalid_config` with the place and the option. */
export function checkOptions(kind: keyof typeof schemas, options: unknown, place: string): void {
  const schema = schemas[kind];
  const parsed = schema.safeParse(options);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const known = schema instanceof z.ZodObject ? Object.keys(schema.shape) : ["ms", "until"];
    const path = issue?.path.join(".") ?? "";
    if (issue?.code === "unrecognized_keys") {
      const key = issue.keys[0] ?? "";
      throw wrong(
        `${place}: unknown key "${[path, key].filter(Boolean).join(".")}"`,
        `did you mean "${nearest(key, known)}"?`,
      );
    }
    const what = issue?.code === "invalid_union" ? "give either ms or until" : (issue?.message ?? "wrong value");
    throw wrong(`${place}: ${path === "" ? "" : `${path} `}${what}`, `its options are ${known.join(", ")}`, path);
  }
  const { timeoutMs, onTimeout } = options as { timeoutMs?: number; onTimeout?: string };
  if (onTimeout !== undefined && timeoutMs === undefined) {
    throw wrong(`${place}: onTimeout without timeoutMs`, "give timeoutMs, else it never happens", "timeoutMs");
  }
}

/** Throws `invalid_config` for a wrong name or option of a workflow. */
export function checkWorkflow(name: unknown, options: unknown): void {
  if (typeof name !== "string" || name === "") throw wrong("a workflow needs a name", "give a text as its name");
  checkOptions("workflow", options, `workflow "${name}"`);
  for (const one of (options as { previous?: readonly { name: string }[] }).previous ?? []) {
    if (one.name === name) continue;
    throw wrong(
      `workflow "${name}": previous names the workflow "${one.name}"`,
      "name earlier definitions of the same name",
      "previous",
    );
  }
}

/** Throws `invalid_config` for what cannot be an id: paths are made of ids. */
export function checkId(id: unknown, workflow: string): void {
  if (typeof id === "string" && id !== "" && !/[/[\]]/.test(id)) return;
  throw wrong(
    `workflow "${workflow}": ${JSON.stringify(id)} cannot be the id of a node`,
    'use a text that is not empty and has no "/", "[" or "]"',
  );
}

/** Throws `invalid_config` for what is no function. */
export function checkCode(code: unknown, place: string, what: string): void {
  if (typeof code !== "function") throw wrong(`${place}: ${what} must be a function`, `give a function as ${what}`);
}

export function wrong(message: string, fix: string, path = ""): TsdevError {
  return new TsdevError("invalid_config", { message, fix, ...(path === "" ? {} : { path }) });
}

function isWorkflow(value: unknown): boolean {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "workflow";
}
