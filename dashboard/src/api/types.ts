// Types of what the HTTP API takes and answers, taken from the types that are generated from its OpenAPI.
import type { components, operations } from "../../../client/api.d.ts";

type Name = keyof operations;
type Answer<N extends Name, Media extends string> = operations[N] extends {
  responses: { 200: { content: { [M in Media]: infer T } } };
}
  ? T
  : never;
type Query<N extends Name> = operations[N] extends { parameters: { query: infer T extends object } }
  ? T
  : Record<string, never>;
type Body<N extends Name> = operations[N] extends {
  requestBody: { content: { "application/json": infer T extends object } };
}
  ? T
  : never;

type Output<N extends Name> = Answer<N, "application/json">;
type Value<N extends Name> = Answer<N, "text/event-stream">;

type Streaming = { [N in Name]: [Value<N>] extends [never] ? never : N }[Name];
type Changing = { [N in Name]: [Body<N>] extends [never] ? never : N }[Name];

/** Operations that read, by name. */
export type Reads = { [N in Exclude<Name, Streaming | Changing>]: { input: Query<N>; output: Output<N> } };
/** Operations that change something, by name. */
export type Writes = { [N in Exclude<Changing, Streaming>]: { input: Body<N>; output: Output<N> } };
/** Operations that answer a stream of values, by name. */
export type Streams = { [N in Streaming]: { input: Query<N>; value: Value<N> } };

export type ErrorShape = Pick<components["schemas"]["Error"]["error"], "message" | "fix"> & { code: string };

export type Project = Output<"projects.get">;
export type Environment = Project["environments"][number];
export type Deployment = Output<"deployments.get">;
export type BuildLogLine = Value<"deployments.log">;
export type Suggestion = Output<"suggestions.get">;
export type Finding = Suggestion["finding"];
export type Rejection = Output<"suggestions.list">["rejections"][number];
export type Proof = NonNullable<Suggestion["proof"]>;
export type BeforeAfter = Proof["p50Ms"];
export type Trace = Output<"traces.get">;
export type Span = Trace["spans"][number];
export type LogRecord = Output<"logs.search">["records"][number];
export type Severity = LogRecord["severity"];
export type PullRequest = Output<"pulls.get">["pullRequest"];
export type PullRequestComment = Output<"pulls.get">["comments"][number];
export type LogHistogram = Output<"logs.histogram">;
export type TraceSummary = Output<"traces.search">["traces"][number];
export type OperationMetrics = Output<"operations.list">["operations"][number];
export type OperationSeries = Output<"operations.series">;
export type ServiceMap = Output<"services.map">;
export type TelemetrySettings = Output<"telemetry.settings">;
export type MetricInfo = Output<"metrics.list">["metrics"][number];
export type MetricSeries = Output<"metrics.query">;
export type MetricDistribution = Output<"metrics.distribution">;
