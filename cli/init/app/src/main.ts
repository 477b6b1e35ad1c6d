// Starts the app: everything that the files of this folder declare, behind HTTP at PORT.
import { discover, openEngine } from "@tsdev/sdk";
import { createApp, serve } from "@tsdev/sdk/http";

// With DATABASE_URL runs are durable; without it they end with the process.
const engine = await openEngine({ databaseUrl: process.env.DATABASE_URL });
const registry = await discover(new URL(".", import.meta.url));
await serve(createApp({ registry, engine }), { engine });
