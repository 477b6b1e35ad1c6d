// What real processes use: CPU and memory of a whole instance, with sums that never go back when a process of it ends.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { InstanceMetrics, type MeasuredInstance } from "./instance-metrics.ts";
import { processUsage } from "./process-usage.ts";

const onLinux = test.skipIf(process.platform !== "linux");
const started: ChildProcess[] = [];

afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

/** A process that has used half a second of CPU, and waits. */
async function busyProcess(): Promise<number> {
  const program = `
    while (process.cpuUsage().user < 500_000) for (let turn = 0; turn < 1e7; turn++);
    console.log("done"); setInterval(() => {}, 1_000);`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "ignore"] });
  started.push(child);
  await once(child.stdout!, "data");
  return child.pid!;
}

function instance(pids: number[]): MeasuredInstance {
  return {
    tenant: { organizationId: "org_1", project: "shop", environment: "production" },
    ...{ deploymentId: "dep_1", service: "web", instanceId: "ins_1", startedAt: 1, pids },
  };
}

function userSeconds(of: InstanceMetrics, pids: number[]): number {
  const [request] = of.requests([instance(pids)]);
  const { resourceMetrics } = JSON.parse(request?.body.toString() ?? "") as {
    resourceMetrics: { scopeMetrics: { metrics: { name: string; sum: { dataPoints: { asDouble: number }[] } }[] }[] }[];
  };
  const metrics = resourceMetrics[0]!.scopeMetrics[0]!.metrics;
  return metrics.find(({ name }) => name === "tsdev.instance.cpu.time")!.sum.dataPoints[0]!.asDouble;
}

onLinux("a process tells its CPU time, memory, files and threads; one that is gone tells nothing", async () => {
  const pid = await busyProcess();
  const usage = processUsage(pid);
  expect(usage?.userSeconds).toBeGreaterThan(0.4);
  expect(usage?.userSeconds).toBeLessThan(30);
  expect(usage?.memoryBytes).toBeGreaterThan(10_000_000);
  expect(usage?.threads).toBeGreaterThan(1);
  expect(usage?.openFiles).toBeGreaterThan(2);
  const [child] = started;
  child!.kill("SIGKILL");
  await once(child!, "exit");
  expect(processUsage(pid)).toBeUndefined();
});

onLinux("a control plane that starts again goes on with the sums, also when a process ended meanwhile", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tsdev-instances-"));
  const file = join(folder, "instances.json");
  const [first, second] = [await busyProcess(), await busyProcess()];
  const before = userSeconds(new InstanceMetrics(file), [first, second]);
  expect(userSeconds(new InstanceMetrics(file), [second])).toBeGreaterThanOrEqual(before);
  // An instance that is gone is forgotten in the file too.
  new InstanceMetrics(file).requests([]);
  expect(await readFile(file, "utf8")).toBe("{}");
  await rm(folder, { recursive: true });
});

onLinux("an instance's CPU time is that of all its processes, also of those that have ended since", async () => {
  const metrics = new InstanceMetrics();
  const [first, second] = [await busyProcess(), await busyProcess()];
  const both = userSeconds(metrics, [first, second]);
  expect(both).toBeGreaterThan(0.8);
  expect(userSeconds(metrics, [second])).toBeGreaterThanOrEqual(both);
  expect(metrics.requests([instance([])])).toEqual([]);
});
