// Operations on suggestions: analyze, list, get, apply, dismiss, snooze.
import { z } from "zod";
import { Rejection } from "../../analyzers/finding.ts";
import { EnvironmentRef } from "../../platform/projects/project.ts";
import type { Projects } from "../../platform/projects/projects.ts";
import type { Queue } from "../../platform/queue/queue.ts";
import { TsdevError } from "../../sdk/errors.ts";
import { type Operation, operation, streamOperation } from "../../sdk/operation.ts";
import { type Pipeline, suggestionQueue } from "./pipeline.ts";
import type { PipelineProgress } from "./pipeline-progress.ts";
import { Suggestion, SuggestionState } from "./suggestion.ts";
import type { Suggestions } from "./suggestions.ts";

const SuggestionId = z.object({ suggestion: z.string().describe("A suggestion's id, sug_…") });

export function suggestionOperations(parts: {
  suggestions: Suggestions;
  pipeline: Pipeline;
  progress: PipelineProgress;
  projects: Projects;
  queue: Queue;
}): Operation[] {
  const { suggestions, pipeline, projects, queue } = parts;
  return [
    operation({
      name: "suggestions.analyze",
      summary:
        "Run every detector over the live deployment's traces now, and start patching and proving what they find",
      input: EnvironmentRef,
      output: z.object({ findings: z.int(), rejections: z.int() }),
      access: { role: "developer", effect: "write", idempotent: true },
      faces: { mcp: "analyze" },
      handler: async (input, { principal }) =>
        pipeline.analyze(await projects.environment(principal.organizationId, input.project, input.environment)),
    }),
    operation({
      name: "suggestions.list",
      summary:
        "List suggestions with finding, patch, proof and pull request, most wasted time first, and what was left alone",
      input: EnvironmentRef.extend({ states: z.array(SuggestionState).optional() }),
      output: z.object({
        suggestions: z.array(Suggestion),
        rejections: z.array(Rejection),
        /** How many suggestions wait for a patch or a proof or are in work. */
        inWork: z.int(),
      }),
      access: { role: "viewer", effect: "read", idempotent: true },
      faces: { mcp: "list_suggestions", cli: "suggestions" },
      handler: async (input, { principal }) => {
        const { environment } = await projects.environment(principal.organizationId, input.project, input.environment);
        const worked = await suggestions.inStates(environment.id, ["open", "snoozed", "pull-request", "merged"]);
        return {
          suggestions: await suggestions.list(principal.organizationId, environment.id, input.states),
          rejections: await suggestions.rejections(environment.id),
          // of this environment alone: how busy others are is not theirs to know
          inWork: (await Promise.all(worked.map((row) => queue.has(suggestionQueue, row.id)))).filter(Boolean).length,
        };
      },
    }),
    operation({
      name: "suggestions.get",
      summary: "Show one suggestion whole: evidence, diff, proof, pull request, verdict",
      input: SuggestionId,
      output: Suggestion,
      access: { role: "viewer", effect: "read", idempotent: true },
      faces: { mcp: "get_suggestion" },
      handler: async (input, { principal }) =>
        suggestions.describe(await suggestions.row(principal.organizationId, input.suggestion)),
    }),
    streamOperation({
      name: "suggestions.watch",
      summary: "Follow what is being done about suggestions: patching, proving, opening",
      input: EnvironmentRef,
      output: z.object({ suggestion: z.string(), message: z.string(), fraction: z.number().optional() }),
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async function* (input, { principal, signal }) {
        const { environment } = await projects.environment(principal.organizationId, input.project, input.environment);
        for await (const event of parts.progress.follow(signal)) {
          const row = await suggestions.row(principal.organizationId, event.suggestion).catch(() => null);
          if (row?.environment_id === environment.id) yield event;
        }
      },
    }),
    operation({
      name: "suggestions.apply",
      summary: "Open the pull request of a proven suggestion",
      input: SuggestionId,
      output: Suggestion,
      access: { role: "developer", effect: "write", idempotent: true },
      faces: { mcp: "apply_suggestion" },
      handler: async (input, { principal }) => {
        await pipeline.apply(await suggestions.row(principal.organizationId, input.suggestion));
        return suggestions.describe(await suggestions.row(principal.organizationId, input.suggestion));
      },
    }),
    operation({
      name: "suggestions.dismiss",
      summary: "Dismiss a suggestion with a reason; it is not proposed again while its cause stays the same",
      input: SuggestionId.extend({ reason: z.string().trim().min(3).max(2000) }),
      output: Suggestion,
      access: { role: "developer", effect: "write", idempotent: true },
      handler: async (input, { principal }) => {
        const row = await suggestions.row(principal.organizationId, input.suggestion);
        const from: SuggestionState[] = ["open", "snoozed", "dismissed"];
        refuseUnless(row.state, from);
        await suggestions.change(row.id, { state: "dismissed", dismissedReason: input.reason }, { states: from });
        return suggestions.describe(await suggestions.row(principal.organizationId, row.id));
      },
    }),
    operation({
      name: "suggestions.snooze",
      summary: "Hide a suggestion for some days",
      input: SuggestionId.extend({ days: z.int().min(1).max(365).default(7) }),
      output: Suggestion,
      access: { role: "developer", effect: "write", idempotent: true },
      handler: async (input, { principal }) => {
        const row = await suggestions.row(principal.organizationId, input.suggestion);
        const from: SuggestionState[] = ["open", "snoozed"];
        refuseUnless(row.state, from);
        const until = new Date(Date.now() + input.days * 24 * 3600 * 1000);
        await suggestions.change(row.id, { state: "snoozed", snoozedUntil: until }, { states: from });
        return suggestions.describe(await suggestions.row(principal.organizationId, row.id));
      },
    }),
  ];
}

function refuseUnless(state: string, allowed: string[]): void {
  if (allowed.includes(state)) return;
  throw new TsdevError("conflict", {
    message: `the suggestion is in the state ${state}`,
    fix:
      state === "pull-request"
        ? "close its pull request instead; it is then not proposed again"
        : "nothing is left to do about it",
  });
}
