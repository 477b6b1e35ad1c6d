// Starts the shop: the schema, the first stock, the workflows, then the server at PORT.
import { openEngine } from "@tsdev/sdk";
import { serve } from "@tsdev/sdk/http";
import { shop } from "./app.ts";
import { databaseUrl } from "./database.ts";
import { migrate } from "./migrations.ts";
import { seed } from "./seed.ts";

await migrate();
await seed();
const engine = await openEngine({ databaseUrl });
await serve(shop(engine), { engine });
