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

const values = flags();
const started = performance.now();
const data = resolve(values.data ?? (await mkdtemp(join(tmpdir(), "tsdev-demo-"))));
const demo = new Demo(data);

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
    { title: "find, patch and prove", run: async (tell) => void (await demo.suggest(tell)) },
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
        await demo.judge(tell);
      },
    },
  ]);
  await finish();
} catch (error) {
  fail(error, { json: values.json });
  await demo.stop();
  process.exit(1);
}

async function finish(): Promise<void> {
  if (!live) throw new TsdevError("internal", { message: "nothing was deployed", fix: "run the demo again" });
  const { suggestions, rejections } = await demo.inbox();
  const merged = suggestions.find((one) => one.verdict !== null);
  const parts = {
    platform: demo.platform.address,
    deployment: live,
    deployments: await demo.deployments(),
    pullRequests: await demo.pullRequests(),
    spans: await demo.spans(),
    requests: demo.requests,
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
  say("Ctrl-C stops everything.");
  const ended = new Promise<void>((done) => {
    process.once("SIGINT", done);
    process.once("SIGTERM", done);
    demo.platform.died.addEventListener("abort", () => done(), { once: true });
  });
  await ended;
  await demo.stop();
  process.exit(demo.platform.died.aborted ? 1 : 0);
}
