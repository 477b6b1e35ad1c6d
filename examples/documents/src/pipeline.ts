// The pipeline: what happens to a document from the day it comes to the day it is archived, in one place.
import { procedure, workflow } from "@tsdev/sdk";
import { z } from "zod";
import { archiveDocument } from "./archive.ts";
import { pool } from "./database.ts";
import { engine } from "./engine.ts";
import { classify, lookUpSupplier, readContract, readInvoice } from "./kinds.ts";
import { recognisePage, splitPages } from "./pages.ts";
import { documentArchived } from "./reminders.ts";
import { settings } from "./settings.ts";
import { documentSigned, requestSignature } from "./signature.ts";
import { releaseStorage, reserveStorage } from "./storage.ts";

export const markArchived = procedure({
  name: "mark-archived",
  input: z.object({ documentId: z.string(), archiveReference: z.string(), termMonths: z.int().optional() }),
  output: z.object({}),
  effects: { reads: [], writes: ["documents", "events"] },
  idempotent: true,
  handler: async ({ documentId, archiveReference, termMonths }) => {
    await pool.query(
      "UPDATE documents SET archive_reference = $2, archived_at = coalesce(archived_at, now()) WHERE id = $1",
      [documentId, archiveReference],
    );
    const payload = termMonths === undefined ? { documentId } : { documentId, termMonths };
    // Published again under the same id it is one event.
    await (await engine()).publish(documentArchived, payload, { id: `archived-${documentId}` });
    return {};
  },
});

export const documentPipeline = workflow("document-pipeline", {
  // One owner who sends a thousand documents does not keep the others waiting.
  concurrency: { limit: 4, key: ({ owner }) => owner },
})
  .input(z.object({ documentId: z.string(), owner: z.string() }))
  .step(splitPages)
  .each(
    "recognised",
    ({ pages }) => pages,
    (page) => page.step(recognisePage, { with: ({ item }) => ({ page: item }) }),
    { concurrency: 3, onError: "collect" },
  )
  // A page that cannot be read does not stop the document: the clerk sees which, and decides.
  .run("join-pages", async ({ recognised }) => ({
    fullText: recognised.map((page) => (page.ok ? page.value.text : "[unreadable]")).join("\n"),
    unreadablePages: recognised.flatMap((page, index) => (page.ok ? [] : [index + 1])),
  }))
  .step(classify)
  .match("by-kind", ({ kind }) => kind, {
    invoice: (invoice) => invoice.step(readInvoice).step(lookUpSupplier),
    contract: (contract) => contract.step(readContract),
  })
  .step(reserveStorage)
  .compensate(releaseStorage)
  // 14 days. Whoever says no ends the run, and the storage is released.
  .approve("clerk", { timeoutMs: 1_209_600_000, onTimeout: "reject" })
  .run("plan-cool-off", async () => ({ releaseAt: new Date(Date.now() + settings.coolOffMs) }))
  .sleep("cool-off", { until: ({ releaseAt }) => releaseAt })
  .when(
    "needs-signature",
    ({ kind }) => kind === "contract",
    (contract) =>
      contract
        .step(requestSignature)
        // 30 days; then the run fails, and the storage is released.
        .waitFor("signature", documentSigned, { key: ({ documentId }) => documentId, timeoutMs: 2_592_000_000 }),
  )
  .call(archiveDocument, { as: "archive" })
  .step(markArchived, {
    with: ({ documentId, archive, termMonths }) => ({
      documentId,
      archiveReference: archive.archiveReference ?? "",
      ...(termMonths === undefined ? {} : { termMonths }),
    }),
  });
