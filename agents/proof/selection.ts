// Selection: which recorded requests a proof replays: those that the finding is about, and a sample of all others.
import type { Finding } from "../../analyzers/finding.ts";
import type { OutgoingRecording, RequestRecording } from "../../platform/telemetry/recording.ts";
import { isFailure } from "./outgoing-sink.ts";
import type { ProofRequest } from "./request.ts";

export interface Selection {
  /** In recorded order. */
  affected: RequestRecording[];
  others: RequestRecording[];
  /** Both, in recorded order. */
  all: RequestRecording[];
  /** Traces whose runs went on after their request was answered. */
  background: Set<string>;
  /** What could not be replayed, one sentence each. */
  left: string[];
}

/** Other routes must behave as before; most of their code is untouched. */
const otherLimit = 40;

export function selectRequests(request: ProofRequest): Selection {
  const { finding, runs, measure } = request;
  const left: string[] = [];
  const truncated = request.requests.filter((recording) => recording.body.truncated).length;
  if (truncated > 0) left.push(`${truncated} recorded requests whose body was too large to be kept whole`);
  const replayable = request.requests
    .filter((recording) => !recording.body.truncated && !isProbe(recording, request.health))
    .sort((a, b) => a.time - b.time);

  const traces = new Set(finding.traceIds);
  const name = workflowOf(finding);
  if (name !== null) for (const run of runs) if (run.workflow === name) traces.add(run.traceId);
  const about = replayable.filter((recording) => traces.has(recording.traceId) || isRouteOf(finding, recording));
  // A finding's traces name its routes; another request of the same route runs the same code.
  const routes = new Set(about.map(routeKey));
  const affected = replayable.filter((recording) => routes.has(routeKey(recording)));
  const others = replayable.filter((recording) => !routes.has(routeKey(recording)));

  const spans = new Map(replayable.map((recording) => [recording.traceId, recording]));
  const background = new Set<string>();
  let orphans = 0;
  for (const run of runs) {
    const parent = spans.get(run.traceId);
    if (parent === undefined) orphans += run.requestSpanId === null ? 1 : 0;
    else if (run.time + run.durationMs > parent.time + parent.durationMs + 5) background.add(run.traceId);
  }
  if (orphans > 0) left.push(`${orphans} recorded runs that no recorded request started`);
  if (background.size > 0) left.push("the timing of runs that go on after their request was answered");

  const { answerable, unanswerable } = splitFailing(affected, request);
  if (measure === "failures" && unanswerable > 0) {
    left.push(`${unanswerable} failed requests for which no later answer to the same call was recorded`);
  }
  const chosen = measure === "failures" ? chooseFailing(answerable, 300) : spread(affected, 40);
  const sample = sampleRoutes(others, measure === "failures" ? otherLimit / 2 : otherLimit);
  if (sample.length < others.length)
    left.push(`${others.length - sample.length} more recorded requests of other routes`);
  const all = [...chosen, ...sample].sort((a, b) => a.time - b.time);
  return { affected: chosen, others: sample, all, background, left };
}

function workflowOf({ evidence }: Finding): string | null {
  return evidence.kind === "n-plus-one" ? evidence.operation : evidence.workflow;
}

function isRouteOf({ evidence }: Finding, recording: RequestRecording): boolean {
  if (evidence.kind !== "n-plus-one") return false;
  return evidence.operation === recording.route || evidence.operation === routeKey(recording);
}

const routeKey = (recording: RequestRecording): string => `${recording.method} ${recording.route}`;

function isProbe(recording: RequestRecording, health: string | undefined): boolean {
  const path = recording.path.split("?")[0]!;
  return path === health || path === "/readyz" || path === "/healthz" || path === "/livez";
}

/** Takes out requests with a failed call that nobody was seen to repeat: a retry of it cannot be answered. */
function splitFailing(affected: RequestRecording[], { outgoing }: ProofRequest) {
  const healed = new Map<string, number>();
  for (const call of outgoing) {
    if (!isFailure(call)) healed.set(callKey(call), Math.max(call.time, healed.get(callKey(call)) ?? 0));
  }
  const lost = new Set(
    outgoing
      .filter((call) => isFailure(call) && (healed.get(callKey(call)) ?? 0) <= call.time)
      .map((call) => call.traceId),
  );
  const answerable = affected.filter((recording) => !lost.has(recording.traceId));
  return { answerable, unanswerable: affected.length - answerable.length };
}

const callKey = (call: OutgoingRecording): string => `${call.method} ${call.url} ${call.bodyDigest}`;

/** As many that failed as there are among all, and at least ten, so that the share of failures is what it was. */
function chooseFailing(affected: RequestRecording[], limit: number): RequestRecording[] {
  if (affected.length <= limit) return affected;
  const failing = affected.filter((recording) => recording.status >= 500);
  const rest = affected.filter((recording) => recording.status < 500);
  const share = Math.max(10, Math.round((limit * failing.length) / affected.length));
  const first = spread(failing, share);
  return [...first, ...spread(rest, limit - first.length)].sort((a, b) => a.time - b.time);
}

/** At most `limit`, evenly over the list, the different ones (path and body) before repeats. */
function spread(list: RequestRecording[], limit: number): RequestRecording[] {
  if (list.length <= limit) return [...list];
  const seen = new Set<string>();
  const distinct: RequestRecording[] = [];
  const repeats: RequestRecording[] = [];
  for (const recording of list) {
    const key = `${recording.method} ${recording.path} ${recording.body.text}`;
    (seen.has(key) ? repeats : distinct).push(recording);
    seen.add(key);
  }
  const chosen = every(distinct, limit);
  return [...chosen, ...every(repeats, limit - chosen.length)].sort((a, b) => a.time - b.time);
}

function every<T>(list: readonly T[], limit: number): T[] {
  if (list.length <= limit) return [...list];
  return Array.from({ length: Math.max(limit, 0) }, (_, index) => list[Math.floor((index * list.length) / limit)]!);
}

/** The same share of every route, so that a rare one is not left out. */
function sampleRoutes(list: RequestRecording[], limit: number): RequestRecording[] {
  const byRoute = new Map<string, RequestRecording[]>();
  for (const recording of list)
    byRoute.set(routeKey(recording), [...(byRoute.get(routeKey(recording)) ?? []), recording]);
  const share = Math.max(2, Math.floor(limit / Math.max(1, byRoute.size)));
  return [...byRoute.values()].flatMap((recordings) => spread(recordings, share)).slice(0, limit);
}
