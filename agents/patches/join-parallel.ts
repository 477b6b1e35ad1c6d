// join-parallel: turns two neighbouring steps of a workflow that do not need each other into one `.parallel([…])`.
import MagicString from "magic-string";
import type { z } from "zod";
import type { Finding, ParallelStepsEvidence } from "../../analyzers/finding.ts";
import { isModifier } from "./add-retry.ts";
import type { PatchResult, ReadSource } from "./patch.ts";
import { NotSure, patchOrDecline } from "./result.ts";
import { type Node, unwrap } from "./source-file.ts";
import { type Link, propertyNode, stepOf, workflowChain } from "./workflow-chain.ts";

/**
 * Declines with `dynamic`, `no-such-step`, `not-neighbours`, `step-options`, `modifier-on-step`, `comment-between`,
 * `unknown-contract`, `needs-output`.
 */
export function joinParallel(
  finding: Finding,
  evidence: z.infer<typeof ParallelStepsEvidence>,
  read: ReadSource,
): Promise<PatchResult> {
  return patchOrDecline(finding, async () => {
    const chain = await workflowChain(finding.file, evidence.workflow, read);
    const { file, links } = chain;
    const steps = evidence.nodes.map((node) => stepOf(chain, evidence.workflow, node));
    const [first] = steps;
    const last = steps.at(-1);
    if (first === undefined || last === undefined || steps.length < 2) {
      throw new NotSure("not-neighbours", "a group needs two steps");
    }
    const line = file.lineOf(first.link.call.callee.property.start);
    for (const [place, step] of steps.entries()) {
      if ((step.link.call.arguments as Node[]).length !== 1) {
        throw new NotSure("step-options", `${evidence.nodes[place]} has options of its own`, line);
      }
      const follower = links[step.index + 1];
      if (follower !== undefined && isModifier(follower.method)) {
        throw new NotSure("modifier-on-step", `.${follower.method}() belongs to ${evidence.nodes[place]} alone`, line);
      }
      if (step.index !== first.index + place) {
        throw new NotSure("not-neighbours", `${evidence.nodes.join(" and ")} do not follow each other`, line);
      }
    }
    const start = first.link.call.callee.property.start as number;
    const end = last.link.call.end;
    if (file.comments.some((comment) => comment.start < end && comment.end > start)) {
      throw new NotSure("comment-between", "a comment between the steps would lose its place", line);
    }
    checkContracts(
      steps.map((step) => step.link),
      evidence.nodes,
    );

    const names = steps.map((step) => file.text.slice(...argumentSpan(step.link)));
    const edited = new MagicString(file.text);
    // The first step's dot and line stay; what follows it up to the last step's `)` becomes part of the list.
    edited.overwrite(start, end, `parallel([${names.join(", ")}])`);
    const [one, two] = [evidence.durationsMs[0] ?? 0, evidence.durationsMs[1] ?? 0];
    return {
      file,
      edited,
      line,
      reasoning: [
        `In ${evidence.runs} runs ${evidence.nodes.join(" and ")} ran one after the other (median ${ms(one)} and ${ms(two)}).`,
        "Neither input contract names a key that the other's output contract adds; the scope gives both what they got before.",
        "Neither writes what the other reads or writes, by their declared effects and by the calls in their traces.",
        "No retry, time limit or option hangs on either.",
      ],
      risk: `When ${evidence.nodes[0]} fails, ${evidence.nodes.slice(1).join(" and ")} will have run as well; before, it would not have begun.`,
    };
  });
}

const ms = (value: number) => `${value.toFixed(1)} ms`;

function argumentSpan(link: Link): [number, number] {
  const argument = (link.call.arguments as Node[])[0];
  return [argument?.start ?? 0, argument?.end ?? 0];
}

/** The contracts as they stand in source must agree with what the traces showed. */
function checkContracts(links: readonly Link[], nodes: readonly string[]): void {
  for (const [place, link] of links.entries()) {
    const writes = contractKeys(link, "output", nodes[place] ?? "");
    for (const [other, later] of links.entries()) {
      if (other === place) continue;
      const shared = [...contractKeys(later, "input", nodes[other] ?? "")].filter((key) => writes.has(key));
      if (shared.length > 0) {
        throw new NotSure("needs-output", `${nodes[other]} reads ${shared.join(", ")} that ${nodes[place]} returns`);
      }
    }
  }
}

/** Keys of `z.object({…})`; any other form is not known. */
function contractKeys(link: Link, side: "input" | "output", node: string): Set<string> {
  const call = propertyNode(link.procedure, side);
  const unknown = new NotSure("unknown-contract", `the ${side} of ${node} is not a literal z.object({…})`);
  if (call?.type !== "CallExpression") throw unknown;
  const { callee } = call;
  const plain =
    callee.type === "MemberExpression" &&
    !callee.computed &&
    callee.object.name === "z" &&
    /^(object|strictObject)$/.test(callee.property.name);
  const shape = unwrap((call.arguments as Node[])[0]);
  if (!plain || shape?.type !== "ObjectExpression") throw unknown;
  const keys = new Set<string>();
  for (const item of shape.properties as Node[]) {
    if (item.type !== "Property" || item.computed) throw unknown;
    keys.add(String(item.key.name ?? item.key.value));
  }
  return keys;
}
