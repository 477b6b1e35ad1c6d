// Right: the customers of all orders in one query.
import { batch, original, serve } from "../serve.ts";

await serve({ ...original, list: batch });
