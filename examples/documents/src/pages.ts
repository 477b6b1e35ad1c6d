// Pages: a document's text page by page, and what the recognition service makes of each.
import { procedure, TsdevError } from "@tsdev/sdk";
import { z } from "zod";
import { pool } from "./database.ts";
import { ask } from "./partners.ts";

export const splitPages = procedure({
  name: "split-pages",
  input: z.object({ documentId: z.string() }),
  output: z.object({ pages: z.array(z.string()) }),
  effects: { reads: ["documents"], writes: [] },
  idempotent: true,
  handler: async ({ documentId }) => {
    const { rows } = await pool.query<{ text: string }>("SELECT text FROM documents WHERE id = $1", [documentId]);
    if (!rows[0]) {
      throw new TsdevError("not_found", { message: `no document ${documentId}`, fix: "send it in by POST /documents" });
    }
    // A form feed ends a page.
    return { pages: rows[0].text.split("\f") };
  },
});

export const recognisePage = procedure({
  name: "recognise-page",
  input: z.object({ page: z.string() }),
  output: z.object({ text: z.string() }),
  effects: { reads: ["ocr"], writes: [] },
  idempotent: true,
  policies: {
    // What the service's contract allows.
    rateLimit: { limit: 50, perMs: 1_000 },
    // Full jitter: a hundred pages that fail together do not come back together.
    retry: { maxAttempts: 4, backoff: "exponential", initialMs: 50, maxMs: 2_000 },
    timeout: { ms: 10_000 },
  },
  handler: ({ page }, ctx) =>
    ask("ocr", "/recognise", {
      method: "POST",
      body: { page },
      answer: z.object({ text: z.string() }),
      signal: ctx.signal,
    }),
});
