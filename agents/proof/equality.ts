// Equality: both versions get the same recorded requests, one at a time and side by side, and everything seen is compared.
//
// In a proof about failures a third side runs: the base version, given for each call the answer that the patched
// version ended with. What a retry makes of a failure must be what the base version makes of the success; the base
// version with the answers as recorded only tells how often it fails.
import type { OutgoingRecording, RequestRecording } from "../../platform/telemetry/recording.ts";
import { type BootOptions, boot, type Side } from "./boot.ts";
import { type ChangeList, openChangeList } from "./change-list.ts";
import { newTraceId } from "./driver.ts";
import { Comparison } from "./observation.ts";
import { finalAnswers, keyOf } from "./outgoing-sink.ts";
import type { ProofServer } from "./proof-server.ts";
import type { ProofDependencies, ProofRequest } from "./request.ts";
import type { Selection } from "./selection.ts";
import { median } from "./statistics.ts";
import { differenceLimit, type Seen, Tally } from "./tally.ts";

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
const longestAnswerMs = { time: 10, "round-trips": 1, failures: 1 };

interface Watched {
  side: Side;
  changes: ChangeList | null;
  traces: string[];
  trips: number[];
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
    longestMs: longestAnswerMs[request.measure],
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
    const watched: Watched = { side, changes: null, traces: [], trips: [] };
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
    const affected = new Set(selection.affected);
    const rules = { callsAsSet: retries, failedBodies: !retries };
    const tally = new Tally(new Comparison(started, request.normalise ?? [], rules), affected);
    const { all } = selection;
    let done = 0;
    // The reference side needs the patched side's answers: it follows one request behind, while the next one runs.
    let following: Promise<void> = Promise.resolve();
    for (const recording of all) {
      signal.throwIfAborted();
      const requestId = `${recording.traceId}-${done}`;
      const waitMs = selection.background.has(recording.traceId) ? 250 : 2;
      const ask = (watched: Watched, answers?: Map<string, OutgoingRecording[]>) =>
        observe(watched, recording, requestId, affected.has(recording), waitMs, answers);
      const [left, right] = await settleAll([ask(before!), ask(after!)]);
      await following;
      if (tally.over) break;
      done += 1;
      if (reference === undefined) tally.add(recording, left!, left!, right!);
      else {
        following = ask(reference, finalAnswers(right!.report.calls)).then((base) =>
          tally.add(recording, left!, base, right!),
        );
        following.catch(() => {});
      }
      if (done % 20 === 0) dependencies.progress(`${done} of ${all.length} requests compared`, done / all.length);
      if (tally.over) break;
    }
    await following;
    tally.conclude();
    const { differences } = tally;
    if (differences.length === 0) differences.push(...(await sequenceDifferences(compared, after!, retries)));
    await Promise.all(sides.map(({ side }) => side.stop()));
    for (const { side } of sides) {
      for (const text of new Set(side.sink.blocked)) notProven.push(`${side.label}: a connection was refused: ${text}`);
      if (side.sink.outside.length > 0) {
        const calls = [...new Set(side.sink.outside)].join(", ");
        notProven.push(`${side.label}: calls outside of a request were not answered: ${calls}`);
      }
    }
    notProven.push(...tally.open());
    const count = affected.size;
    const share = (failures: number) => (count === 0 ? 0 : failures / count);
    const middle = (values: number[]) => (values.length === 0 ? 0 : median(values));
    const spans = (watched: Watched) => middle(watched.traces.map((id) => watched.side.collector.spans(id)));
    return {
      equal: differences.length === 0,
      differences: differences.slice(0, differenceLimit),
      requests: done,
      roundTrips: { before: middle(before!.trips), after: middle(after!.trips) },
      spans: { before: spans(before!), after: spans(after!) },
      failureRate: { before: share(tally.failures.before), after: share(tally.failures.after) },
      writes: tally.writes,
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
