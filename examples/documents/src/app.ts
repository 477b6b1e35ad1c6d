// The app over HTTP: what is declared, and who may decide.
import type { Engine, Registry } from "@tsdev/sdk";
import { createApp } from "@tsdev/sdk/http";
import { settings } from "./settings.ts";

export function documentsApp(registry: Registry, engine: Engine) {
  const app = createApp({
    registry,
    engine,
    // Steps are for runs. From outside only what has a route of its own is called.
    rpc: false,
    authenticate: (request) => {
      const known = settings.clerkToken && request.headers.get("authorization") === `Bearer ${settings.clerkToken}`;
      return known ? { id: "clerk", roles: ["clerk"] } : undefined;
    },
    // Whoever knows a document's number may follow it; only a clerk decides.
    runs: "open",
    control: { roles: ["clerk"] },
    openapi: { title: "Documents", version: "1.0.0" },
  });
  app.get("/", (c) => c.text("Send a document to POST /documents. /docs tells how.\n"));
  return app;
}
