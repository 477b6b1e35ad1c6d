// Answers: what each operation's output looks like to an assistant; operations without an entry get an outline.
import type { CallName, Output } from "../client/client.ts";
import { outline } from "./outline.ts";
import { type Answer, oneLine } from "./text.ts";
import { criticalLines, traceTree } from "./trace-tree.ts";

type Deployment = Output<"deployments.get">;
type Suggestion = Output<"suggestions.get">;

const short = (commit: string) => commit.slice(0, 7);
const seconds = (value: number | null) => (value === null ? "" : `${value.toFixed(1)} s`);
const time = (iso: string | null) => (iso ? `${iso.slice(0, 19)}Z` : "");
const place = (file: string | null, line: number | null) => (file ? `${file}:${line ?? "?"}` : "no place known");

const answers: { [N in CallName]?: (output: Output<N>) => Answer } = {
  "projects.list": ({ projects }) => ({
    head: `${projects.length} projects, each with its environments.`,
    data: projects.flatMap((project) => [
      `${project.name}  git ${project.git}  default branch ${project.defaultBranch}`,
      ...project.environments.map(
        (one) =>
          `  ${one.name}  ${one.url}  branch ${one.branch}  ${one.liveDeployment ? `live ${one.liveDeployment}` : "nothing live"}`,
      ),
    ]),
    more: "Ask projects.get for one of them.",
  }),
  "deployments.list": ({ deployments }) => ({
    head: `${deployments.length} deployments, newest first: id, status, commit, cause, time, what for.`,
    data: deployments.map(deploymentLine),
    more: "Ask with a smaller `limit`.",
  }),
  "deployments.get": (one) => deploymentAnswer(one, []),
  "deployments.wait": (one) => deploymentAnswer(one, []),
  "deployments.deploy": ({ deployment, log }) =>
    deploymentAnswer(
      deployment,
      log.map((line) => line.text),
    ),
  "deployments.redeploy": (one) => deploymentAnswer(one, []),
  "deployments.rollback": (one) => deploymentAnswer(one, []),
  "deployments.scale": (one) => deploymentAnswer(one, []),
  "logs.search": ({ records, cursor }) => ({
    head: `${records.length} lines of the log, newest last: time, severity, trace, text.`,
    data: records.map(
      (one) => `${one.time.slice(5, 23)} ${one.severity}${one.traceId ? ` ${one.traceId}` : ""} ${oneLine(one.text)}`,
    ),
    keep: "last",
    more: "Ask with a smaller `limit`, or a narrower `search`, `severity` or `since`.",
    tail: cursor ? `Older lines: pass cursor ${cursor}` : "",
  }),
  "traces.search": ({ traces, cursor }) => ({
    head: `${traces.length} traces, newest first: id, time, duration, spans, queries, errors, name.`,
    data: traces.map(
      (one) =>
        `${one.traceId} ${time(new Date(one.start).toISOString())} ${one.durationMs.toFixed(1)} ms, ${one.spans} spans, ${one.databaseQueries} queries, ${one.errors} errors  ${oneLine(one.name, 120)}`,
    ),
    more: "Ask with a smaller `limit`.",
    tail: cursor ? `More: pass cursor ${cursor}` : "",
  }),
  "traces.get": (trace) => {
    const critical = criticalLines(trace);
    const tree = traceTree(trace);
    return {
      head: `Trace ${trace.traceId}: ${trace.spans.length} spans as a tree with duration and code place; alike neighbours are folded. logs.search with this trace's id has ${trace.logs} records.`,
      data: [...critical, ...tree.map(({ text }) => text)],
      more: (shown) => {
        const last = tree[shown - critical.length - 1]?.last;
        return last === undefined ? "Name a span in `under`." : `The tree goes on with after: ${last}`;
      },
      tail: trace.omitted > 0 ? `${trace.omitted} more spans are stored and not in this answer.` : "",
    };
  },
  "suggestions.analyze": ({ findings, rejections }) => ({
    head: `${findings} findings; ${rejections} things looked like one and were left alone. Patching and proving goes on in the background: ask list_suggestions how far it is.`,
    data: [],
    structured: { findings, rejections },
  }),
  "suggestions.list": ({ suggestions, rejections, inWork }) => ({
    head: `${suggestions.length} suggestions, most wasted time first; ${inWork} in work; ${rejections.length} things left alone, with the reason. get_suggestion shows one whole.`,
    data: [
      ...suggestions.map(suggestionLine),
      ...(rejections.length > 0 ? ["", "left alone:"] : []),
      ...rejections.map(
        (one) => `${one.detector}  ${one.subject}  ${place(one.file, one.line)}  ${one.test}: ${one.reason}`,
      ),
    ],
    more: "Ask with `states` for some of them.",
  }),
  "suggestions.get": suggestionAnswer,
  "suggestions.apply": suggestionAnswer,
  "suggestions.dismiss": suggestionAnswer,
  "suggestions.snooze": suggestionAnswer,
  "pulls.get": ({ pullRequest, diff, comments }) => {
    const { body, ...rest } = pullRequest;
    return {
      head: `Pull request ${pullRequest.number} with its text, diff and ${comments.length} comments.`,
      data: [
        ...outline(rest),
        "",
        body,
        "",
        diff,
        "",
        ...comments.map((one) => `${one.author} at ${one.createdAt}: ${one.body}`),
      ],
    };
  },
};

/** The answer for an operation's output. */
export function answerOf(name: string, output: unknown): Answer {
  const written = answers[name as CallName] as ((output: unknown) => Answer) | undefined;
  return written ? written(output) : { head: `${name} answered:`, data: outline(output) };
}

function deploymentLine(one: Deployment): string {
  const why = one.reason ? `${one.reason.code}: ${oneLine(one.reason.message, 160)}` : oneLine(one.commitMessage, 100);
  return `${one.id}  ${one.status}  ${short(one.commit)}  ${one.cause}  ${time(one.createdAt)}  ${seconds(one.pushToHealthySeconds)}  ${why}`;
}

function deploymentAnswer(one: Deployment, log: string[]): Answer {
  const failed = one.status === "failed" || one.status === "canceled";
  const words: Record<Deployment["status"], string> = {
    live: `is live at ${one.url}`,
    superseded: `was live at ${one.url} until a newer one took its place`,
    failed: `failed (${one.reason?.code}); what was live before stays live`,
    canceled: "was canceled",
    queued: "waits for its turn",
    building: "is being built",
    starting: "is starting",
  };
  const took =
    one.pushToHealthySeconds === null ? "" : `, ${seconds(one.pushToHealthySeconds)} from request to healthy`;
  return {
    head: `Deployment ${one.id} of ${one.project}/${one.environment} at ${short(one.commit)} ${words[one.status]}${took}.`,
    data: [
      `commit: ${oneLine(one.commitMessage, 200)}`,
      ...(one.reason ? [`reason: ${one.reason.message}`, `fix: ${one.reason.fix}`] : []),
      ...one.instances.map((instance) => `instance ${instance.id} ${instance.state} since ${time(instance.startedAt)}`),
      ...(log.length > 0 ? ["", "the end of the build log:", ...log] : []),
    ],
    keep: log.length > 0 ? "last" : "first",
    more: "Ask deployments.log for all of it.",
    failed,
    structured: {
      deployment: one.id,
      project: one.project,
      environment: one.environment,
      status: one.status,
      commit: one.commit,
      url: one.url,
      ...(one.reason ? { reason: one.reason.code } : {}),
    },
  };
}

function proofLine(proof: NonNullable<Suggestion["proof"]>): string {
  const { roundTripsPerRequest: trips, p50Ratio: ratio } = proof;
  return `${proof.equal ? `equal in ${proof.requests} replayed requests` : "NOT equal"}, round trips a request ${trips.before} → ${trips.after}, p50 ${ratio.value.toFixed(2)} of before (${ratio.low.toFixed(2)} to ${ratio.high.toFixed(2)}, ${proof.boots} boots)`;
}

function suggestionLine(one: Suggestion): string {
  const { finding } = one;
  const state = one.pullRequest
    ? `pull request ${one.pullRequest.number} ${one.pullRequest.state}`
    : one.declined
      ? `no patch: ${one.declined.reason}`
      : one.proof
        ? proofLine(one.proof)
        : "no proof yet";
  return `${one.id}  ${one.state}  ${finding.title}  ${place(finding.file, finding.line)}  ${finding.occurrences} of ${finding.of}, ${finding.wastedMs.toFixed(0)} ms wasted  ${state}`;
}

function suggestionAnswer(one: Suggestion): Answer {
  const { finding, patch, proof, declined, pullRequest, verdict } = one;
  const { traceIds, evidence, title, ...numbers } = finding;
  const data = [
    title,
    ...outline(numbers),
    "evidence:",
    ...outline(evidence, 1),
    `traces: ${traceIds.slice(0, 3).join(", ")}`,
  ];
  if (declined) data.push("", `no patch (${declined.condition}): ${declined.reason}`);
  if (proof) {
    data.push("", `proof: ${proofLine(proof)}`);
    data.push(
      `p50 ms ${proof.p50Ms.before} → ${proof.p50Ms.after}, p95 ms ${proof.p95Ms.before} → ${proof.p95Ms.after}`,
    );
    data.push(`spans a request ${proof.spansPerRequest.before} → ${proof.spansPerRequest.after}`);
    data.push(...proof.conditions.map((it) => `${it.name}: p50 ${it.p50Ratio.value.toFixed(2)} of before`));
    data.push(...proof.checks.map((check) => `${check.name}: ${check.passed ? "passed" : "FAILED"}`));
    data.push(...proof.differences.slice(0, 5).map((text) => `difference: ${text}`));
    data.push(...proof.notProven.map((text) => `not proven: ${text}`));
  }
  if (verdict)
    data.push("", `after the merge it ${verdict.result}: ${verdict.measure} ${verdict.before} → ${verdict.after}`);
  if (patch) data.push("", `risk: ${patch.risk}`, ...patch.reasoning.map((text) => `- ${text}`), "", patch.diff);
  return {
    head: `Suggestion ${one.id} (${one.detector}) is ${one.state}${pullRequest ? `; pull request ${pullRequest.number} at ${pullRequest.url} is ${pullRequest.state}` : ""}.`,
    data,
    more: "The dashboard shows the whole diff.",
    structured: {
      suggestion: one.id,
      state: one.state,
      ...(pullRequest
        ? { pullRequest: { number: pullRequest.number, url: pullRequest.url, state: pullRequest.state } }
        : {}),
    },
  };
}
