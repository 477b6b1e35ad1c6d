// Wrong: batched, but in another order.
import { batch, original, serve } from "../serve.ts";

await serve({ ...original, list: async (pool) => (await batch(pool)).reverse() });
