// Starts the app: its tables, everything that is declared in this folder, then the server at PORT.
import { discover } from "@tsdev/sdk";
import { serve } from "@tsdev/sdk/http";
import { documentsApp } from "./app.ts";
import { migrate } from "./database.ts";
import { engine } from "./engine.ts";

await migrate();
const registry = await discover(new URL(".", import.meta.url));
await serve(documentsApp(registry, await engine()));
