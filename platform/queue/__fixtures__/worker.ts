// Works on the queue "killed" of the server in argv[2]: says which job it got, and never finishes one.
import { openQueue } from "../bullmq-queue.ts";

const where = JSON.parse(process.argv[2]!) as { postgresUrl: string } | { redisUrl: string };
const queue = await openQueue(where);
await queue.work("killed", async (job) => {
  console.log(job.id);
  await new Promise(() => {});
});
