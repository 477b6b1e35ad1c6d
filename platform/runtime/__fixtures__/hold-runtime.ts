// A process that holds a runtime, to be killed: starts and switches to the group it is given and says so.
import { openLocalRuntime } from "../local.ts";

const { directory, group } = JSON.parse(process.argv[2]!);
const runtime = await openLocalRuntime({ directory, wantedPort: 0, nodePath: process.execPath, log: () => {} });
if (group) {
  const result = await runtime.start(group, new AbortController().signal);
  if (!result.ok) throw new Error(result.error.message);
  await runtime.switchTo(group.deploymentId);
}
console.log(JSON.stringify({ url: runtime.routerUrl, status: await runtime.status() }));
setInterval(() => {}, 1000);
