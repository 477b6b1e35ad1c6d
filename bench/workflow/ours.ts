// Our engine as a participant: in memory, or durable on the Postgres at DATABASE_URL.
import { z } from "zod";
import { openEngine, workflow } from "../../sdk/index.ts";
import { participate } from "./participant.ts";

await participate(async (mark) => {
  const databaseUrl = process.env.DATABASE_URL;
  const engine = await openEngine(databaseUrl ? { databaseUrl } : {});
  // A list, as an app writes it that does not know how many steps there will be; the same node runs again and again.
  const loop = workflow("bench-loop")
    .input(z.object({ steps: z.int() }))
    .each(
      "done",
      ({ steps }) => Array.from({ length: steps }, (_, index) => index),
      (item) =>
        item.run("step", async ({ index }, ctx) => {
          mark(ctx.runId!);
          return { value: index };
        }),
    );
  return {
    run: async (runId, steps) => {
      await engine.execute(loop, { steps }, { runId });
    },
    close: () => engine.close(),
  };
});
