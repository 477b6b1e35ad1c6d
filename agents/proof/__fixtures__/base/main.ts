// The deployed version: a query for every order, no retry, one call after the other.
import { original, serve } from "../serve.ts";

await serve(original);
