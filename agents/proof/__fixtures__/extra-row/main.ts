// Wrong: batched, but placing an order writes another row.
import { batch, original, place, serve } from "../serve.ts";

await serve({
  ...original,
  list: batch,
  place: async (pool, order) => {
    await pool.query("INSERT INTO notes (text) VALUES ($1)", ["placed"]);
    return place(pool, order);
  },
});
