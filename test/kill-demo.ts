// Kills the control plane of the demo with SIGKILL at random moments and runs the same command again until it is done.
// `npm run test:kill -- [--kills 20] [--each 5] [--seed 1]`: so many kills in all, so many in one data directory.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { checkKilledRun, killRepeatedly } from "./killed-demo.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "20" },
    each: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
  },
});
const [kills, each, seed] = [Number(values.kills), Number(values.each), Number(values.seed)];

console.log(`seed ${seed}`);
let done = 0;
let failed = 0;
for (let round = 0; done < kills; round++) {
  const data = mkdtempSync(join(tmpdir(), "tsdev-kill-"));
  const outcome = await killRepeatedly(data, {
    kills: Math.min(each, kills - done),
    seed: seed + round,
    told: console.log,
  });
  done += outcome.killed.length;
  const problems = checkKilledRun(outcome);
  for (const problem of problems) console.log(`  FAILED: ${problem}`);
  if (problems.length > 0) {
    failed += 1;
    console.log(`  kept: ${data}`);
  } else rmSync(data, { recursive: true, force: true });
}
console.log(`${done} kills, ${failed} runs with a problem`);
process.exitCode = failed > 0 ? 1 : 0;
