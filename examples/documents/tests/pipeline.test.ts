// The pipeline: approved, refused, signed, with a page that cannot be read, and by the dozen.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { runningApp, waitsFor } from "./running-app.ts";

const app = runningApp();
const ended = (run: { state: string }) => ["done", "failed", "canceled"].includes(run.state);

async function upload(body: unknown): Promise<{ documentId: string; runId: string }> {
  const response = await app.post("/documents", body);
  assert.equal(response.status, 202, await response.clone().text());
  return (await response.json()) as { documentId: string; runId: string };
}

async function look(documentId: string): Promise<Record<string, unknown>> {
  return (await (await app.get(`/documents/${documentId}`)).json()) as Record<string, unknown>;
}

test("an invoice that is approved is archived; a busy service is asked again, and a page that is blurred is named", async () => {
  const form = new FormData();
  form.set("owner", "shop");
  form.set("title", "Lamps");
  form.set("file", new File(["Invoice [busy] Tax id: DE811\f[blurred]\fTotal: 12.50"], "lamps.txt"));
  const { documentId, runId } = await upload(form);
  await app.until(runId, waitsFor("approval"));
  assert.ok(Number((await look(documentId)).reservedBytes) > 0);
  assert.equal((await app.answer(runId, true)).status, 202);
  const run = await app.until(runId, ended);
  assert.equal(run.state, "done", JSON.stringify(run.error));
  assert.deepEqual(run.output?.unreadablePages, [2]);
  assert.deepEqual([run.output?.supplier, run.output?.totalCents], ["Supplier DE811", 1250]);
  const document = await look(documentId);
  assert.equal(document.kind, "invoice");
  assert.match(String(document.archiveReference), /^ar_/);
});

test("a document that is refused fails, and its storage is released", async () => {
  const { documentId, runId } = await upload({
    owner: "shop",
    title: "Chairs",
    text: "Invoice. Tax id: DE812. Total: 9.00",
  });
  await app.until(runId, waitsFor("approval"));
  await app.answer(runId, false);
  assert.equal((await app.until(runId, ended)).state, "failed");
  assert.equal((await look(documentId)).reservedBytes, 0);
  assert.equal(app.times(`PUT /archive/jobs/${documentId}`), 0);
});

test("a contract waits until the signature service says that it was signed", async () => {
  const { documentId, runId } = await upload({ owner: "shop", title: "Lease", text: "Lease for 24 months" });
  await app.until(runId, waitsFor("approval"));
  await app.answer(runId, true);
  await app.until(runId, waitsFor("event"));
  const body = JSON.stringify({ type: "signed", documentId, signer: "the landlord" });
  const sign = (secret: string) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  assert.equal((await app.post("/webhooks/signatures", body, { "x-signature": sign("guessed") })).status, 401);
  const headers = { "x-signature": sign("a-secret") };
  const first = await app.post("/webhooks/signatures", body, headers);
  assert.ok(first.ok, await first.text());
  assert.ok((await app.post("/webhooks/signatures", body, headers)).ok);
  const run = await app.until(runId, ended);
  assert.equal(run.state, "done", JSON.stringify(run.error));
  assert.deepEqual(run.output?.signature, { documentId, signer: "the landlord" });
});

test("documents that come by the dozen are runs, and one that comes again is the same run", async () => {
  const documents = [1, 2, 3].map((number) => ({
    documentId: `batch-${process.pid}-${number}`,
    owner: "archive",
    title: `Number ${number}`,
    text: `Invoice ${number}. Tax id: DE9. Total: ${number}.00`,
  }));
  const { runIds } = (await (await app.post("/imports", { documents })).json()) as { runIds: string[] };
  assert.deepEqual((await (await app.post("/imports", { documents })).json()) as unknown, { runIds });
  assert.equal(new Set(runIds).size, 3);
});

test("nobody but the clerk decides, and an empty document is refused by name", async () => {
  const { runId } = await upload({ owner: "shop", title: "Desks", text: "Invoice. Tax id: DE813. Total: 1.00" });
  await app.until(runId, waitsFor("approval"));
  const path = `/workflows/document-pipeline/runs/${runId}/approvals/clerk`;
  assert.equal((await app.post(path, { approved: true })).status, 401);
  const refused = await app.post("/documents", { owner: "shop", title: "Nothing" });
  assert.equal(refused.status, 422);
  assert.equal(((await refused.json()) as { code: string }).code, "nothing_sent");
});
