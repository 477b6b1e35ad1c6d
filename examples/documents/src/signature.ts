// Signature: a contract is sent out to be signed, and the signature service says by a webhook when it was.
import { event, hmac, procedure, webhook, workflow } from "@tsdev/sdk";
import { z } from "zod";
import { engine } from "./engine.ts";
import { ask } from "./partners.ts";

export const documentSigned = event({
  name: "document.signed",
  payload: z.object({ documentId: z.string(), signer: z.string() }),
  key: ({ documentId }) => documentId,
});

export const requestSignature = procedure({
  name: "request-signature",
  input: z.object({ documentId: z.string() }),
  output: z.object({ requestId: z.string() }),
  effects: { reads: [], writes: ["signatures"] },
  idempotent: true,
  policies: { retry: { maxAttempts: 4 }, timeout: { ms: 5_000 } },
  handler: ({ documentId }, ctx) =>
    ask("signatures", `/requests/${documentId}`, {
      method: "PUT",
      answer: z.object({ requestId: z.string() }),
      signal: ctx.signal,
    }),
});

export const publishSigned = procedure({
  name: "publish-signed",
  input: documentSigned.payload,
  output: z.object({ eventId: z.string() }),
  effects: { reads: [], writes: ["events"] },
  idempotent: true,
  // The key is the same when this step runs again, so the event is one.
  handler: async (signed, ctx) => {
    const { id } = await (await engine()).publish(documentSigned, signed, { id: ctx.idempotencyKey });
    return { eventId: id };
  },
});

export const recordSignature = workflow("record-signature").input(documentSigned.payload).step(publishSigned);

/** A delivery that comes again is the same run. */
export const signatures = webhook({
  name: "signatures",
  verify: hmac({ header: "x-signature", prefix: "sha256=", secret: () => process.env.SIGNATURE_SECRET }),
  payload: z.object({ type: z.string(), documentId: z.string(), signer: z.string() }),
  workflow: recordSignature,
  input: ({ type, documentId, signer }) => (type === "signed" ? { documentId, signer } : undefined),
});
