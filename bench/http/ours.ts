// Benchmark participant: the procedure served by createApp.

import { createApp } from "../../sdk/http/create-app.ts";
import { serve } from "../../sdk/http/serve.ts";
import { procedure } from "../../sdk/procedures/procedure.ts";
import { input, output, quote } from "./contract.ts";

const app = createApp({
  procedures: [procedure({ name: "quote", input, output, http: { method: "POST", path: "/quote" }, handler: quote })],
});
const { port } = await serve(app, { port: 0, hostname: "127.0.0.1" });
process.send?.(port);
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
