// Kinds: whether a document is an invoice or a contract, and what is read from each.
import { procedure, TsdevError } from "@tsdev/sdk";
import { z } from "zod";
import { pool } from "./database.ts";
import { ask } from "./partners.ts";

export const classify = procedure({
  name: "classify",
  input: z.object({ documentId: z.string(), fullText: z.string() }),
  output: z.object({ kind: z.enum(["invoice", "contract"]) }),
  effects: { reads: [], writes: ["documents"] },
  idempotent: true,
  handler: async ({ documentId, fullText }) => {
    const kind = /\binvoice\b/i.test(fullText) ? ("invoice" as const) : ("contract" as const);
    await pool.query("UPDATE documents SET kind = $2 WHERE id = $1", [documentId, kind]);
    return { kind };
  },
});

export const readInvoice = procedure({
  name: "read-invoice",
  input: z.object({ fullText: z.string() }),
  output: z.object({ taxId: z.string(), totalCents: z.int() }),
  effects: { reads: [], writes: [] },
  idempotent: true,
  handler: ({ fullText }) => {
    const taxId = /\btax id:?\s*(\w+)/i.exec(fullText)?.[1];
    const total = /\btotal:?\s*(\d+)\.(\d\d)\b/i.exec(fullText);
    if (!taxId || !total) {
      throw new TsdevError("conflict", {
        message: `the invoice names no ${taxId ? "total" : "tax id"}`,
        fix: 'send one with "Tax id: …" and "Total: 12.50"',
      });
    }
    return { taxId, totalCents: Number(total[1]) * 100 + Number(total[2]) };
  },
});

export const lookUpSupplier = procedure({
  name: "look-up-supplier",
  input: z.object({ taxId: z.string() }),
  output: z.object({ supplier: z.string() }),
  effects: { reads: ["suppliers"], writes: [] },
  idempotent: true,
  policies: {
    // Names of companies seldom change: for an hour an old one is good enough, while one call asks again.
    cache: { ttlMs: 300_000, staleMs: 3_600_000 },
    retry: { maxAttempts: 3 },
    circuitBreaker: { failures: 5, openMs: 10_000 },
    timeout: { ms: 5_000 },
  },
  handler: async ({ taxId }, ctx) => {
    const { name } = await ask("suppliers", `/${encodeURIComponent(taxId)}`, {
      answer: z.object({ name: z.string() }),
      signal: ctx.signal,
    });
    return { supplier: name };
  },
});

export const readContract = procedure({
  name: "read-contract",
  input: z.object({ fullText: z.string() }),
  output: z.object({ termMonths: z.int() }),
  effects: { reads: [], writes: [] },
  idempotent: true,
  handler: ({ fullText }) => ({ termMonths: Number(/\b(\d{1,3}) months\b/i.exec(fullText)?.[1] ?? 12) }),
});
