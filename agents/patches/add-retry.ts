// add-retry: puts `.withRetry(…)` behind the step of a workflow that fails transiently and is safe to repeat.
import MagicString from "magic-string";
import type { z } from "zod";
import type { Finding, FlakyStepEvidence } from "../../analyzers/finding.ts";
import type { PatchResult, ReadSource } from "./patch.ts";
import { NotSure, patchOrDecline } from "./result.ts";
import { type Chain, stepOf, workflowChain } from "./workflow-chain.ts";

const retry = 'withRetry({ maxAttempts: 3, backoff: "exponential" })';

/** Declines with `dynamic`, `no-such-step`, `retry-present` and what `workflowChain` throws. */
export function addRetry(
  finding: Finding,
  evidence: z.infer<typeof FlakyStepEvidence>,
  read: ReadSource,
): Promise<PatchResult> {
  return patchOrDecline(finding, async () => {
    const chain = await workflowChain(finding.file, evidence.workflow, read);
    const { file } = chain;
    const { link, index } = stepOf(chain, evidence.workflow, evidence.node);
    const line = file.lineOf(link.call.callee.property.start);
    for (let next = index + 1; next < chain.links.length; next++) {
      const modifier = chain.links[next];
      if (modifier === undefined || !isModifier(modifier.method)) break;
      if (modifier.method === "withRetry")
        throw new NotSure("retry-present", `${evidence.node} is retried already`, line);
    }
    const edited = new MagicString(file.text);
    const gap = separator(chain, index);
    // A comment behind the step on its line stays with the step.
    const remark = gap === "" ? null : /^[\t ]*(?:\/\/.*|\/\*.*\*\/)(?=\r?\n)/.exec(file.text.slice(link.call.end));
    edited.appendLeft(link.call.end + (remark?.[0].length ?? 0), `${gap}.${quoted(chain)}`);
    const share = `${evidence.failures} of ${evidence.attempts} attempts`;
    return {
      file,
      edited,
      line,
      reasoning: [
        `${evidence.node} failed in ${share}, each time with an error that heals by itself (${kinds(evidence)}).`,
        `${evidence.healed.count} of ${evidence.healed.of} inputs that failed succeeded when they were tried again.`,
        `It is safe to repeat: ${evidence.safeBecause.join("; ")}.`,
        "Up to 3 attempts with exponential, jittered waits; only transient errors are tried again.",
      ],
      risk: "A step that fails for good fails later than before, by the waits between its attempts; a service that is down is asked up to three times as often.",
    };
  });
}

export function isModifier(method: string): boolean {
  return method.startsWith("with") || method === "as" || method === "compensate";
}

function kinds(evidence: z.infer<typeof FlakyStepEvidence>): string {
  return Object.entries(evidence.errorTypes)
    .map(([type, count]) => `${count} × ${type}`)
    .join(", ");
}

/** What stands before a link that begins a line; nothing when modifiers follow on the step's own line here. */
function separator({ file, links }: Chain, index: number): string {
  const before = (link: (typeof links)[number] | undefined) => {
    if (link === undefined) return "";
    const start = file.text.lastIndexOf("\n", link.dot) + 1;
    return /^[\t ]*$/.test(file.text.slice(start, link.dot)) ? file.eol + file.indentOf(link.dot) : "";
  };
  const modifier = links.find((link) => isModifier(link.method));
  return before(modifier ?? links[index]);
}

/** The call with the file's own quotes. */
function quoted({ file }: Chain): string {
  const strings = file.nodes("Literal").filter((node) => typeof node.value === "string");
  const single = strings.filter((node) => file.text[node.start] === "'").length;
  return single * 2 > strings.length ? retry.replaceAll('"', "'") : retry;
}
