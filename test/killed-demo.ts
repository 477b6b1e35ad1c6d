// Killed demo: one data directory, the same command again and again, its control plane killed at seeded random moments.
import { type DemoRun, processesOf, runDemo } from "./demo-run.ts";
import { seededRandom } from "./seeded-random.ts";

/** Moments lie within the time that an undisturbed run takes, in milliseconds. */
const longestMs = 150_000;
const mostRuns = 40;

export interface KilledOutcome {
  data: string;
  /** In which phase each kill came. */
  killed: string[];
  last: DemoRun;
}

/** Kills so often, then lets the run end. Moments are spread so that short and long runs are both cut. */
export async function killRepeatedly(
  data: string,
  options: { kills: number; seed: number; told: (line: string) => void },
): Promise<KilledOutcome> {
  const random = seededRandom(options.seed);
  const killed: string[] = [];
  for (let run = 0; run < mostRuns; run++) {
    const more = killed.length < options.kills;
    // squared, so that early moments are as likely as they are many
    const killAfterMs = Math.round(500 + random() ** 2 * longestMs);
    const last = await runDemo(data, more ? { killAfterMs } : {});
    if (last.killedIn !== null) {
      killed.push(last.killedIn);
      options.told(`  killed after ${killAfterMs} ms in "${last.killedIn.slice(2)}", exit ${last.code}`);
    }
    if (last.code === 0) {
      options.told(`  done after ${killed.length} kills`);
      return { data, killed, last };
    }
    if (last.killedIn === null) return { data, killed, last };
  }
  throw new Error(`not done after ${mostRuns} runs`);
}

/** What must hold at the end; empty when all does. */
export function checkKilledRun({ data, last }: KilledOutcome): string[] {
  const problems: string[] = [];
  const expect = (holds: boolean, what: string) => void (holds || problems.push(what));
  const { result } = last;
  expect(last.code === 0, `the last run ended with ${last.code}: ${last.told.slice(-500)}`);
  if (!result) return problems;
  const causes = result.deployments.map((one) => one.cause).sort();
  expect(JSON.stringify(causes) === '["merge","push"]', `deployments: ${JSON.stringify(result.deployments)}`);
  const branches = result.pullRequests.map((one) => one.branch);
  expect(
    branches.length === 3 && new Set(branches).size === 3,
    `pull requests: ${JSON.stringify(result.pullRequests)}`,
  );
  const suggestions = result.suggestions as {
    detector: string;
    proof: { equal: boolean } | null;
    pullRequest: object | null;
  }[];
  expect(suggestions.length === 3, `suggestions: ${suggestions.map((one) => one.detector).join(", ")}`);
  expect(
    suggestions.every((one) => one.proof?.equal && one.pullRequest),
    "a suggestion without an equal proof and a pull request",
  );
  expect(result.merged?.verdict === "held", `verdict: ${JSON.stringify(result.merged)}`);
  expect(result.rejections.length >= 3, `rejections: ${result.rejections.map((one) => one.subject).join(", ")}`);
  const comments = result.pullRequests.find((one) => one.state === "merged")?.comments;
  expect(comments === 1, `comments on the merged pull request: ${comments}`);
  const left = processesOf(data);
  expect(left.length === 0, `left running: ${left.join("; ")}`);
  return problems;
}
