// Equality: both versions get the same recorded requests, one at a time and side by side, and everything seen is compared.
//
// In a proof about failures a third side runs: the base version, given for each call the answer that the patched
// version ended with. What a retry makes of a failure must be what the base version makes of the success; the base
// version with the answers as recorded only tells how often it fails.
import type { OutgoingRecording, RequestRecording } from "../../platform/telemetry/recording.ts";
import { type BootOptions, boot, type Side } from "./boot.ts";
import { type ChangeList, openChangeList } from "./change-list.ts";
import { newTraceId } from "./driver.ts";
import { Comparison, type Observation } from "./observation.ts";
import { finalAnswers, keyOf, type ScopeReport } from "./outgoing-sink.ts";
import type { ProofServer } from "./proof-server.ts";
import type { ProofDependencies, ProofRequest } from "./request.ts";
import type { Selection } from "./selection.ts";
import { median } from "./statistics.ts";

export interface EqualityResult {
  equal: boolean;
  differences: string[];
  requests: number;
  roundTrips: { before: number; after: number };
  spans: { before: number; after: number };
  failureRate: { before: number; after: number };
  /** Whether the affected requests changed rows. */
  writes: boolean;
  notProven: string[];
}

/** A call's answer waits no longer here: order and overlap are kept, the wall clock is not what is measured. */
const longestAnswerMs = 10;
const differenceLimit = 8;

interface Watched {
  side: Side;
  changes: ChangeList | null;
  traces: string[];
  trips: number[];
  failures: number;
}

interface Seen {
  observation: Observation;
  report: ScopeReport;
}

export async function compareVersions(
  request: ProofRequest,
  dependencies: ProofDependencies,
  server: ProofServer | null,
  template: string | null,
  selection: Selection,
): Promise<EqualityResult> {
  const { signal } = dependencies;
  const retries = request.measure === "failures";
  const notProven: string[] = [];
  const started = Date.now();
  const sides: Watched[] = [];
  const sinkOptions = (recordings: readonly OutgoingRecording[], heals: boolean) => ({
    recordings,
    retries: heals,
    longestMs: longestAnswerMs,
  });
  const start = async (label: string, version: ProofRequest["base"], heals: boolean): Promise<Watched> => {
    const database = server !== null && template !== null ? await server.clone(template, label) : null;
    const options: BootOptions = {
      label,
      version,
      database,
      sink: sinkOptions(request.outgoing, heals),
      deterministic: true,
      core: null,
    };
    const side = await boot(options, request, dependencies, server);
    const watched: Watched = { side, changes: null, traces: [], trips: [], failures: 0 };
    sides.push(watched);
    return watched;
  };
  try {
    const [before, after, reference] = await settleAll([
      start("base", request.base, false),
      start("patch", request.patch, retries),
      ...(retries ? [start("reference", request.base, false)] : []),
    ]);
    const compared = reference ?? before!;
    if (server !== null && template !== null) {
      const problem = await watchChanges(server, [compared, after!]);
      if (problem !== null) notProven.push(problem);
    }
    const comparison = new Comparison(started, request.normalise ?? [], {
      callsAsSet: retries,
      failedBodies: !retries,
    });
    const affected = new Set(selection.affected);
    const differences: string[] = [];
    let done = 0;
    let writes = false;
    let odd = 0;
    let unused = 0;
    let repeated = 0;
    let shapes = 0;
    for (const recording of selection.all) {
      signal.throwIfAborted();
      const isAffected = affected.has(recording);
      const requestId = `${recording.traceId}-${done}`;
      const waitMs = selection.background.has(recording.traceId) ? 250 : 2;
      const ask = (watched: Watched, answers?: Map<string, OutgoingRecording[]>) =>
        observe(watched, recording, requestId, isAffected, waitMs, answers);
      const [left, right] = await Promise.all([ask(before!), ask(after!)]);
      const base = reference === undefined ? left : await ask(reference, finalAnswers(right.report.calls));
      done += 1;
      if (done % 20 === 0) {
        dependencies.progress(`${done} of ${selection.all.length} requests compared`, done / selection.all.length);
      }
      if (isAffected) {
        writes ||= base.observation.changes.length > 0;
        if (isFailed(left.observation)) before!.failures += 1;
        if (isFailed(right.observation)) after!.failures += 1;
        if (statusClass(left.observation.status) !== statusClass(recording.status)) odd += 1;
      }
      unused += Math.max(0, right.report.unused - base.report.unused);
      repeated += right.report.calls.filter((call) => call.rule === "repeated").length;
      shapes += base.report.calls.filter((call) => call.rule === "shape").length;
      const where = `${recording.method} ${recording.path}`;
      const missing = unmatched(right.report);
      const missingBefore = unmatched(base.report);
      const found = comparison.compare(base.observation, right.observation).map((text) => `${where}: ${text}`);
      if (!isAffected && missing.length > 0 && missing.join() === missingBefore.join()) {
        notProven.push(`${where}: calls ${missing.join(", ")} without a recording on either side`);
      } else {
        for (const call of missing) found.push(`${where}: outgoing call without a recording: ${call} after`);
        if (isAffected)
          for (const call of missingBefore) found.push(`${where}: outgoing call without a recording: ${call} before`);
      }
      differences.push(...found);
      // Rows differ from here on: what follows would compare two different worlds.
      if (differences.length >= differenceLimit || found.some((text) => text.includes(": changed rows: "))) break;
    }
    if (differences.length === 0) differences.push(...(await sequenceDifferences(compared, after!, retries)));
    await Promise.all(sides.map(({ side }) => side.stop()));
    for (const { side } of sides) {
      for (const text of new Set(side.sink.blocked)) notProven.push(`${side.label}: a connection was refused: ${text}`);
      if (side.sink.outside.length > 0) {
        notProven.push(
          `${side.label}: calls outside of a request were not answered: ${[...new Set(side.sink.outside)].join(", ")}`,
        );
      }
    }
    const count = selection.affected.length;
    if (odd > 0) {
      notProven.push(
        `${odd} of ${count} affected requests were answered with another status than when they were recorded`,
      );
    }
    if (unused > 0) notProven.push(`${unused} recorded outgoing calls were not made by the patched version`);
    if (repeated > 0) notProven.push(`${repeated} repeated calls had no later recording and got the last answer again`);
    if (shapes > 0) {
      notProven.push(
        `${shapes} outgoing calls were matched by the shape of their URL, because an id or the body was another than recorded`,
      );
    }
    if (count > 0 && odd > count / 2) differences.push(`${odd} of ${count} affected requests could not be reproduced`);
    if (count === 0) differences.push("no recorded request runs the code that the finding is about");
    const share = (watched: Watched) => (count === 0 ? 0 : watched.failures / count);
    const middle = (values: number[]) => (values.length === 0 ? 0 : median(values));
    const spans = (watched: Watched) => middle(watched.traces.map((id) => watched.side.collector.spans(id)));
    return {
      equal: differences.length === 0,
      differences: differences.slice(0, differenceLimit),
      requests: done,
      roundTrips: { before: middle(before!.trips), after: middle(after!.trips) },
      spans: { before: spans(before!), after: spans(after!) },
      failureRate: { before: share(before!), after: share(after!) },
      writes,
      notProven: [...new Set(notProven)],
    };
  } finally {
    await Promise.all(sides.map(({ side }) => side.close().catch(() => {})));
  }
}

async function observe(
  watched: Watched,
  recording: RequestRecording,
  requestId: string,
  isAffected: boolean,
  waitMs: number,
  reference?: Map<string, OutgoingRecording[]>,
): Promise<Seen> {
  const { side } = watched;
  const traceId = newTraceId();
  const trips = side.proxy?.roundTrips() ?? 0;
  side.sink.begin({ traceId: recording.traceId, reference });
  const answer = await side.driver.send(recording, { traceId, requestId });
  await side.quiet(waitMs);
  const made = (side.proxy?.roundTrips() ?? 0) - trips;
  const report = side.sink.end();
  const changes = (await watched.changes?.read()) ?? [];
  if (isAffected) {
    watched.traces.push(traceId);
    watched.trips.push(made);
  }
  const { status, headers, body } = answer;
  return { observation: { status, headers, body, calls: report.calls.map(keyOf), changes }, report };
}

/** Opens the change lists; a sentence when the server cannot give them. */
async function watchChanges(server: ProofServer, watched: Watched[]): Promise<string | null> {
  if ((await server.setting("wal_level")) !== "logical") {
    return "the rows that writes changed: the database server does not have wal_level = logical";
  }
  try {
    for (const each of watched) {
      const database = each.side.database!;
      each.changes = await openChangeList(await server.connect(database), database);
    }
    return null;
  } catch (error) {
    for (const each of watched) each.changes = null;
    return `the rows that writes changed: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function sequenceDifferences(left: Watched, right: Watched, retries: boolean): Promise<string[]> {
  // A failed attempt that is rolled back leaves a gap; that is no difference in rows.
  if (retries || left.changes === null || right.changes === null) return [];
  const [a, b] = await Promise.all([left.changes.sequences(), right.changes.sequences()]);
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((name) => a.get(name) !== b.get(name))
    .map((name) => `sequence ${name}: ${a.get(name) ?? "none"} before, ${b.get(name) ?? "none"} after`);
}

/** Waits for all, also when one fails, so that nothing goes on unseen; then throws the first error. */
async function settleAll<T>(work: Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  for (const result of results) if (result.status === "rejected") throw result.reason;
  return results.map((result) => (result as PromiseFulfilledResult<T>).value);
}

const isFailed = ({ status }: Observation): boolean => status === 0 || status >= 500;
const statusClass = (status: number): number => Math.floor(status / 100);
const unmatched = (report: ScopeReport): string[] =>
  report.calls.filter((call) => call.answer === null).map((call) => `${call.method} ${call.url}`);
