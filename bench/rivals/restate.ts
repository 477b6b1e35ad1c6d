// Restate as a participant: its server from npm, in a folder of its own, and a service in this process.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as restate from "@restatedev/restate-sdk";
import * as clients from "@restatedev/restate-sdk-clients";
import { participate } from "../workflow/participant.ts";

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

await participate(async (mark) => {
  const service = restate.service({
    name: "bench",
    handlers: {
      loop: async (ctx: restate.Context, { run, steps }: { run: string; steps: number }) => {
        for (let index = 0; index < steps; index++) {
          await ctx.run("step", async () => {
            mark(run);
            return { value: index };
          });
        }
      },
    },
  });
  const [ingress, admin, fabric, port] = [await freePort(), await freePort(), await freePort(), await freePort()];
  await restate.serve({ services: [service], port });
  const folder = await mkdtemp(join(tmpdir(), "tsdev-restate-"));
  const program = fileURLToPath(new URL("node_modules/.bin/restate-server", import.meta.url));
  const server = spawn(program, ["--base-dir", folder], {
    stdio: "ignore",
    env: {
      ...process.env,
      RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
      RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
      RESTATE_BIND_ADDRESS: `127.0.0.1:${fabric}`,
      RESTATE_ADVERTISED_ADDRESS: `http://127.0.0.1:${fabric}`,
      RESTATE_DISABLE_TELEMETRY: "true",
      DO_NOT_TRACK: "1",
      RUST_LOG: "error",
    },
  });
  for (let tries = 0; ; tries++) {
    const answer = await fetch(`http://127.0.0.1:${admin}/deployments`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ uri: `http://127.0.0.1:${port}` }),
    }).catch(() => undefined);
    if (answer?.ok) break;
    if (tries > 300) throw new Error(`Restate did not take the service: ${await answer?.text()}`);
    await sleep(100);
  }
  const client = clients
    .connect({ url: `http://127.0.0.1:${ingress}` })
    .serviceClient<typeof service>({ name: "bench" });
  return {
    run: async (run, steps) => {
      await client.loop({ run, steps });
    },
    close: async () => {
      server.kill("SIGTERM");
      await new Promise((resolve) => server.once("exit", resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
});
