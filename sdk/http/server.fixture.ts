// Fixture: an app in a process of its own, to be stopped by signals while it is under load.
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { procedure } from "../procedures/procedure.ts";
import { workflow } from "../workflows/workflow.ts";
import { createApp } from "./create-app.ts";
import { serve } from "./serve.ts";

const wait = procedure({
  name: "wait",
  input: z.object({ ms: z.number() }),
  output: z.object({ waited: z.boolean() }),
  handler: async ({ ms }) => {
    await sleep(ms);
    return { waited: true };
  },
});
const app = createApp({ procedures: [wait], workflows: [workflow("waiting").input(wait.input).step(wait)] });
const { port } = await serve(app, { port: 0, drainMs: 300 });
process.send?.(port);
