// Documents as the outside sees them: sent in, sent in by the dozen, looked at.
import { randomUUID } from "node:crypto";
import { enqueue, procedure, queue, workflow } from "@tsdev/sdk";
import { z } from "zod";
import { pool } from "./database.ts";
import { engine } from "./engine.ts";
import { documentPipeline } from "./pipeline.ts";

const Name = z.string().min(1).max(200);

/** One statement, keyed by the id: doing it again changes nothing. */
async function store(document: { documentId: string; owner: string; title: string; text: string }): Promise<void> {
  await pool.query("INSERT INTO documents (id, owner, title, text) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", [
    document.documentId,
    document.owner,
    document.title,
    document.text,
  ]);
}

export const uploadDocument = procedure({
  name: "documents.upload",
  summary: "Send a contract or an invoice in",
  http: { method: "POST", path: "/documents", status: 202 },
  input: z.object({
    owner: Name,
    title: Name,
    file: z.file().max(1_000_000).optional(),
    text: z.string().max(1_000_000).optional(),
  }),
  output: z.object({ documentId: z.string(), runId: z.string() }),
  errors: { nothing_sent: { status: 422 } },
  effects: { reads: [], writes: ["documents", "runs"] },
  handler: async ({ owner, title, file, text }, ctx) => {
    const content = file ? await file.text() : text;
    if (!content) throw ctx.fail("nothing_sent");
    const documentId = randomUUID();
    await store({ documentId, owner, title, text: content });
    const { runId } = await (await engine()).start(
      documentPipeline,
      { documentId, owner },
      { runId: `document-${documentId}`, ...(ctx.principal ? { principal: ctx.principal } : {}) },
    );
    return { documentId, runId };
  },
});

export const getDocument = procedure({
  name: "documents.get",
  summary: "Look at a document",
  http: { method: "GET", path: "/documents/:documentId" },
  input: z.object({ documentId: z.string() }),
  output: z.object({
    documentId: z.string(),
    title: z.string(),
    kind: z.enum(["invoice", "contract"]).nullable(),
    archiveReference: z.string().nullable(),
    reservedBytes: z.int(),
  }),
  errors: { no_such_document: { status: 404 } },
  effects: { reads: ["documents", "storage_reservations"], writes: [] },
  idempotent: true,
  handler: async ({ documentId }, ctx) => {
    const { rows } = await pool.query<{
      title: string;
      kind: "invoice" | "contract" | null;
      archive_reference: string | null;
      bytes: number | null;
    }>(
      `SELECT title, kind, archive_reference, bytes FROM documents
       LEFT JOIN storage_reservations ON document_id = id WHERE id = $1`,
      [documentId],
    );
    const row = rows[0];
    if (!row) throw ctx.fail("no_such_document");
    const { title, kind, archive_reference: archiveReference, bytes } = row;
    return { documentId, title, kind, archiveReference, reservedBytes: bytes ?? 0 };
  },
});

const ImportedDocument = z.object({ documentId: Name, owner: Name, title: Name, text: z.string().min(1) });

export const storeImported = procedure({
  name: "store-imported",
  input: ImportedDocument,
  output: z.object({}),
  effects: { reads: [], writes: ["documents"] },
  idempotent: true,
  handler: async (document) => {
    await store(document);
    return {};
  },
});

export const importDocument = workflow("import-document")
  .input(ImportedDocument)
  .step(storeImported)
  .call(documentPipeline, { as: "processed" });

/** Documents that come by the dozen wait here, and each becomes a run when there is a place. */
export const imports = queue({
  name: "imports",
  message: ImportedDocument,
  workflow: importDocument,
  input: (message) => message,
});

export const importDocuments = procedure({
  name: "documents.import",
  summary: "Send many documents in; one that is sent again is the same one",
  http: { method: "POST", path: "/imports", status: 202 },
  input: z.object({ documents: z.array(ImportedDocument).min(1).max(100) }),
  output: z.object({ runIds: z.array(z.string()) }),
  effects: { reads: [], writes: ["runs"] },
  idempotent: true,
  handler: async ({ documents }) => {
    const runIds: string[] = [];
    for (const document of documents) {
      const { runId } = await enqueue(await engine(), imports, document, { id: document.documentId });
      runIds.push(runId);
    }
    return { runIds };
  },
});
