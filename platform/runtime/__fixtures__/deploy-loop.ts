// A control plane that deploys without end, to be killed in the middle; says the number of each deployment that is live.
import { openLocalRuntime } from "../local.ts";

const { directory, group, from } = JSON.parse(process.argv[2]!);
const runtime = await openLocalRuntime({ directory, wantedPort: 0, nodePath: process.execPath, log: () => {}, graceMs: 1000 });
for (let number = from + 1; ; number++) {
  const deploymentId = `dep_${number}`;
  const env = { VERSION: deploymentId, DIRECTORY: directory, GRACEFUL: number % 2 === 0 ? "yes" : "no" };
  const result = await runtime.start({ ...group, deploymentId, env }, new AbortController().signal);
  if (!result.ok) throw new Error(result.error.message);
  await runtime.switchTo(deploymentId);
  console.log(number);
}
