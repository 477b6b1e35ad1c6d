// The names of spans and attributes that the SDK writes: analyzers, codemods and dashboards read them from here.

/** The instrumentation scope of every span of the SDK. */
export const tracerName = "@tsdev/sdk";

/** One execution of a workflow: `workflow {name}`. */
export const ATTR_WORKFLOW_NAME = "tsdev.workflow.name";
/** The digest of the workflow's IR: the same as long as its graph and policies are the same. */
export const ATTR_WORKFLOW_VERSION = "tsdev.workflow.version";
export const ATTR_WORKFLOW_RUN_ID = "tsdev.workflow.run_id";
/** True on the span of a worker that carried a run on: after a wait, a pause or another worker's end. */
export const ATTR_WORKFLOW_RESUMED = "tsdev.workflow.resumed";
/** What led to the run: `direct`, `http`, `webhook`, `cron`, `queue`, `event`, `call` or `rerun`. */
export const ATTR_ORIGIN_KIND = "tsdev.origin.kind";
/** The trigger's name, or the path of the `call` node. */
export const ATTR_ORIGIN_NAME = "tsdev.origin.name";
/** The delivery, message, event, scheduled time or run that the run came from. */
export const ATTR_ORIGIN_ID = "tsdev.origin.id";

/** One node's execution in a run: `step {id}`. A finished step that is only read back makes no span. */
export const ATTR_NODE_ID = "tsdev.node.id";
/** The op of the IR's node (`step`, `run`, `sleep`, `waitFor`, `approve`, `call`), or `compensate` for what undoes a step. */
export const ATTR_NODE_OP = "tsdev.node.op";
/** The procedure of a step; absent on `run` nodes, which are opaque. */
export const ATTR_NODE_PROCEDURE = "tsdev.node.procedure";
/** The id of the parallel node that a step is a branch of. */
export const ATTR_NODE_PARALLEL = "tsdev.node.parallel";
/** JSON array of the scope keys that the node read, names only. */
export const ATTR_NODE_READS = "tsdev.node.reads";
/** JSON array of the scope keys that the node wrote, names only. */
export const ATTR_NODE_WRITES = "tsdev.node.writes";

/** JSON array of the resources that the procedure declares to read; absent when effects are undeclared. */
export const ATTR_PROCEDURE_EFFECTS_READS = "tsdev.procedure.effects.reads";
/** JSON array of the resources that the procedure declares to write; absent when effects are undeclared. */
export const ATTR_PROCEDURE_EFFECTS_WRITES = "tsdev.procedure.effects.writes";
/** "true" or "false" as declared; absent when undeclared. */
export const ATTR_PROCEDURE_IDEMPOTENT = "tsdev.procedure.idempotent";

/**
 * `hit`: answered from the cache, or by a call that was being made anyway. `stale`: the same, while a new output is made.
 * `miss`: it ran. On the procedure's span, in a run on the step's; absent without a cache.
 */
export const ATTR_CACHE_RESULT = "tsdev.cache.result";

/** One attempt of a step: `attempt {n}`, counted from 1 within the worker that makes it. */
export const ATTR_ATTEMPT_NUMBER = "tsdev.attempt.number";
export const ATTR_ATTEMPT_MAX = "tsdev.attempt.max";
/** How long the step waits before its next attempt, milliseconds; only when there is one. */
export const ATTR_ATTEMPT_BACKOFF_MS = "tsdev.attempt.backoff_ms";
export const ATTR_ATTEMPT_WILL_RETRY = "tsdev.attempt.will_retry";
/** True when the error was one to retry and no attempt was left. */
export const ATTR_ATTEMPT_EXHAUSTED = "tsdev.attempt.exhausted";
/** SHA-256 of the attempt's input as canonical JSON: two attempts with one digest had one input. */
export const ATTR_INPUT_DIGEST = "tsdev.input.digest";

/** TsdevError code, else error code such as ECONNRESET, else `http_503` for errors with a status, else the class. */
export const ATTR_ERROR_TYPE = "error.type";
/** The author's file as the stack gives it, without `file://`. */
export const ATTR_CODE_FILE_PATH = "code.file.path";
/** On step spans the line of the node in its chain, on procedure spans the line of its declaration. */
export const ATTR_CODE_LINE_NUMBER = "code.line.number";
/** The route template that answered, for example `/orders/:id`. */
export const ATTR_HTTP_ROUTE = "http.route";
/** Values of `http.request.method`: RFC 9110, PATCH of RFC 5789, and QUERY. Of another, which anyone can invent, it is `_OTHER`. */
export const httpMethods: ReadonlySet<string> = new Set([
  ...["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"],
]);
export const ATTR_URL_PATH = "url.path";
/** Without its question mark. */
export const ATTR_URL_QUERY = "url.query";

export const spanNames = {
  workflow: (name: string) => `workflow ${name}`,
  step: (id: string) => `step ${id}`,
  attempt: (number: number) => `attempt ${number}`,
  procedure: (name: string) => `procedure ${name}`,
} as const;
