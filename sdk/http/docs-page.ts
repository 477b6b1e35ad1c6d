// Docs page: GET /openapi.json, and a page made of it by Swagger UI from the app's own node_modules, with no other host.
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Hono } from "hono";
import { TsdevError } from "../errors.ts";
import { type Described, openApiDocument } from "./openapi.ts";

const files: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
};

/** Only this origin; Swagger UI puts styles and small pictures into the page itself. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";

export function mountDocs(app: Hono, described: Described): void {
  let text: string | undefined;
  app.get("/openapi.json", (c) => {
    text ??= JSON.stringify(openApiDocument(described));
    return c.body(text, 200, { "content-type": "application/json" });
  });
  app.get("/docs", async (c) => {
    await folder();
    return c.body(page(described.info.title ?? "API"), 200, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
    });
  });
  app.get("/docs/start.js", (c) => c.body(start, 200, { "content-type": "text/javascript; charset=utf-8" }));
  for (const [name, type] of Object.entries(files)) {
    app.get(`/docs/${name}`, async (c) => {
      const bytes = await readFile(join(await folder(), name));
      return c.body(bytes, 200, { "content-type": type, "cache-control": "max-age=3600" });
    });
  }
}

async function folder(): Promise<string> {
  try {
    return dirname(fileURLToPath(import.meta.resolve("swagger-ui-dist/package.json")));
  } catch (cause) {
    throw new TsdevError("not_found", {
      message:
        "the docs page needs the package swagger-ui-dist, which is not installed; the document is at /openapi.json",
      fix: "npm install swagger-ui-dist",
      cause,
    });
  }
}

const start = `window.addEventListener("load", () => {
  SwaggerUIBundle({ url: new URL("openapi.json", document.baseURI).href, dom_id: "#docs", deepLinking: true, validatorUrl: null });
});
`;

function page(title: string): string {
  const safe = title.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${safe}</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;
}
