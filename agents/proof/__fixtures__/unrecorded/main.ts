// Wrong: batched, but it asks somebody else on the way.
import { batch, original, serve, tell } from "../serve.ts";

await serve({
  ...original,
  list: async (pool) => {
    await tell(process.env.CARRIER_URL ?? "", "/audit").catch(() => {});
    return batch(pool);
  },
});
