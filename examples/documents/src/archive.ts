// Archive: a child workflow that hands a document to the outside archive and asks until it is stored.
import { procedure, workflow } from "@tsdev/sdk";
import { z } from "zod";
import { ask } from "./partners.ts";

export const submitToArchive = procedure({
  name: "submit-to-archive",
  input: z.object({ documentId: z.string(), fullText: z.string() }),
  output: z.object({ jobId: z.string() }),
  effects: { reads: [], writes: ["archive"] },
  idempotent: true,
  policies: { retry: { maxAttempts: 5 }, timeout: { ms: 10_000 } },
  handler: ({ documentId, fullText }, ctx) =>
    ask("archive", `/jobs/${documentId}`, {
      method: "PUT",
      body: { text: fullText },
      answer: z.object({ jobId: z.string() }),
      signal: ctx.signal,
    }),
});

const Job = z.object({ status: z.enum(["working", "stored"]), archiveReference: z.string().nullable() });

export const checkArchive = procedure({
  name: "check-archive",
  input: z.object({ jobId: z.string() }),
  output: Job,
  effects: { reads: ["archive"], writes: [] },
  idempotent: true,
  policies: { retry: { maxAttempts: 5 }, timeout: { ms: 5_000 } },
  handler: ({ jobId }, ctx) => ask("archive", `/jobs/${jobId}`, { answer: Job, signal: ctx.signal }),
});

export const archiveDocument = workflow("archive-document")
  .input(z.object({ documentId: z.string(), fullText: z.string() }))
  .step(submitToArchive)
  .repeat("poll", (round) => round.step(checkArchive), {
    until: ({ status }) => status === "stored",
    maxTimes: 100,
    everyMs: 250,
  });
