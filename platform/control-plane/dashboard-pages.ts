// Dashboard pages: the built files of dashboard/, every other path being the one page whose router takes over.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { serveStatic } from "@hono/node-server/serve-static";
import { Hono } from "hono";

const contentSecurityPolicy =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/** Serves `folder` (what `npm run build` makes). */
export function dashboardPages(folder: string): Hono {
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.header("Content-Security-Policy", contentSecurityPolicy);
    c.header("X-Content-Type-Options", "nosniff");
    c.header("Referrer-Policy", "no-referrer");
  });
  app.use(
    "/assets/*",
    serveStatic({
      root: folder,
      onFound: (_path, c) => c.header("Cache-Control", "public, max-age=31536000, immutable"),
    }),
  );
  app.get("*", async (c) => {
    const page = await readFile(join(folder, "index.html"), "utf8").catch(() => null);
    if (page === null)
      return c.text("The dashboard is not built. Run `npm run build` in the platform's folder, then reload.\n", 503);
    c.header("Cache-Control", "no-store");
    return c.html(page);
  });
  return app;
}
