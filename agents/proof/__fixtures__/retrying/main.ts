// Right: a shipment that fails is tried up to three times.
import { original, serve, shipOnce } from "../serve.ts";

await serve({
  ...original,
  ship: async (pool, id, carrier) => {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await shipOnce(pool, id, carrier);
      } catch (error) {
        if (attempt === 3) throw error;
      }
    }
  },
});
