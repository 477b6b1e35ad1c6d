// The demo: `npm run demo`, the main job on examples/shop from an empty data directory to a merged pull request.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { fail, say } from "../cli/output.ts";
import type { Deployment } from "../platform/deployments/deployment.ts";
import { TsdevError } from "../sdk/errors.ts";
import { runPhases } from "./phases.ts";
import { report } from "./report.ts";
import { demoResult } from "./result.ts";
import { Demo } from "./steps.ts";

const usage = "usage: npm run demo [-- --once] [--json] [--data DIR] [--port N]";

function flags() {
  try {
    return parseArgs({
      options: {
        once: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        data: { type: "string" },
        port: { type: "string" },
      },
    }).values;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${usage}\n`);
    process.exit(2);
  }
}

/** The shop has so many causes that are worth a pull request. */
const expectedOffers = 3;
const values = flags();
if (values.port !== undefined && !/^\d{1,5}$/.test(values.port)) {
  process.stderr.write(`--port takes a number, not ${values.port}\n${usage}\n`);
  process.exit(2);
}
const started = performance.now();
const data = resolve(values.data ?? (await mkdtemp(join(tmpdir(), "tsdev-demo-"))));
const demo = new Demo(data);

let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (interrupted) return;
    interrupted = true;
    say(`\nStopping everything. The data stays in ${data}: the same command with --data ${data} goes on from here.`);
    void demo.stop().finally(() => process.exit(done ? 0 : 130));
  });
}

let done = false;
let live: Deployment | null = null;
let afterMerge: Deployment | null = null;

try {
  await runPhases({ plain: values.json || !process.stdout.isTTY }, [
    {
      title: "start the platform",
      run: () => demo.startPlatform(values.port === undefined ? undefined : Number(values.port)),
    },
    {
      title: "push, build and deploy the shop",
      run: async (tell) => {
        await demo.startPartners();
        live = await demo.deploy(tell);
      },
    },
    { title: "send it traffic", run: async (tell) => void (live && (await demo.drive(live, tell))) },
    { title: "find, patch and prove", run: async (tell) => void (live && (await demo.suggest(live, tell))) },
    {
      title: "merge one and deploy it",
      run: async (tell) => {
        afterMerge = await demo.merge(tell);
      },
    },
    {
      title: "measure again",
      run: async (tell) => {
        if (!afterMerge) return;
        await demo.drive(afterMerge, tell);
        await demo.judge(afterMerge, tell);
      },
    },
  ]);
  await finish();
} catch (thrown) {
  if (!interrupted) {
    // a control plane that was killed is first noticed by a request that fails: the reason comes a moment later
    fail(await demo.reasonOf(thrown), { json: values.json });
    await demo.stop();
    process.exit(1);
  }
}

async function finish(): Promise<void> {
  if (!live) throw new TsdevError("internal", { message: "nothing was deployed", fix: "run the demo again" });
  const { suggestions, rejections } = await demo.inbox();
  const merged = suggestions.find((one) => one.verdict !== null);
  const offered = suggestions.filter((one) => one.pullRequest !== null);
  if (offered.length < expectedOffers || !merged) {
    const others = suggestions.filter((one) => one.pullRequest === null);
    const reasons = others.map(
      (one) =>
        `; ${one.detector}: ${one.declined?.reason ?? [...(one.proof?.differences ?? []), ...(one.proof?.notProven ?? [])][0] ?? one.state}`,
    );
    throw new TsdevError("internal", {
      message: `${offered.length} of ${expectedOffers} suggestions became a pull request${merged ? "" : ", and none was merged and measured again"}${reasons.join("")}`,
      fix: `a machine that is very busy measures too little; run it again, or look at \`npx tsdev suggestions --project demo --data ${data}\``,
    });
  }
  const parts = {
    platform: demo.platform.address,
    deployment: live,
    deployments: await demo.deployments(),
    pullRequests: await demo.pullRequests(),
    spans: await demo.spans(),
    requests: demo.progress.requests,
    suggestions,
    rejections,
    merged,
    seconds: (performance.now() - started) / 1000,
  };
  const result = demoResult(parts);
  const inbox = values.once ? `${demo.platform.address.dashboard}/inbox` : await demo.loginLink();
  if (values.once) await demo.stop();
  if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(report({ ...parts, inbox, mcp: demo.platform.address.mcp }));
  if (values.once) process.exit(0);
  done = true;
  say(`Ctrl-C stops everything. The data is in ${data}.`);
  const { died } = demo.platform;
  await new Promise<void>((ended) => died.addEventListener("abort", () => ended(), { once: true }));
  throw died.reason;
}
