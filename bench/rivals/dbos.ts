// DBOS Transact as a participant, on the Postgres at DATABASE_URL.
import { DBOS } from "@dbos-inc/dbos-sdk";
import { participate } from "../workflow/participant.ts";

await participate(async (mark) => {
  DBOS.setConfig({
    name: "bench",
    systemDatabaseUrl: process.env.DATABASE_URL!,
    systemDatabasePoolSize: 20,
    runAdminServer: false,
    logLevel: "error",
  });
  const loop = DBOS.registerWorkflow(
    async (run: string, steps: number) => {
      for (let index = 0; index < steps; index++) {
        await DBOS.runStep(
          async () => {
            mark(run);
            return { value: index };
          },
          { name: "step" },
        );
      }
    },
    { name: "loop" },
  );
  await DBOS.launch();
  return {
    run: async (workflowID, steps) => {
      const handle = await DBOS.startWorkflow(loop, { workflowID })(workflowID, steps);
      await handle.getResult();
    },
    close: () => DBOS.shutdown(),
  };
});
