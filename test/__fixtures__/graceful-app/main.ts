// The naive app's answers from an app that the SDK serves, and stops without hurry.
import { readFileSync } from "node:fs";
import { createApp, serve } from "@tsdev/sdk/http";

const version = readFileSync(new URL("version", import.meta.url), "utf8").trim();

const app = createApp();
app.all("/", async (c) => {
  const { byteLength: bytes } = await c.req.arrayBuffer();
  await new Promise((resolve) => setTimeout(resolve, Number(c.req.query("ms") ?? 0)));
  return c.json({ version, bytes });
});
await serve(app);
