// Benchmark participant: the same by plain Hono, with @hono/zod-validator on the way in and the same contract on the way out;
// with the argument `unchecked` nothing is checked on the way out.
import type { AddressInfo } from "node:net";
import { serve } from "@hono/node-server";
import { zValidator } from "@hono/zod-validator";
import { Hono } from "hono";
import { input, output, quote } from "./contract.ts";

const app = new Hono();
if (process.argv[2] === "unchecked") {
  app.post("/quote", zValidator("json", input), async (c) => c.json(await quote(c.req.valid("json"))));
} else {
  app.post("/quote", zValidator("json", input), async (c) => c.json(output.parse(await quote(c.req.valid("json")))));
}
const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" }, (info: AddressInfo) => {
  process.send?.(info.port);
});
process.once("SIGTERM", () => server.close(() => process.exit(0)));
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
