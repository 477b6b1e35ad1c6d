// Storage: the room that a document will need is reserved before anybody is asked, and given back when nothing comes of it.
import { procedure } from "@tsdev/sdk";
import { z } from "zod";
import { pool } from "./database.ts";

export const reserveStorage = procedure({
  name: "reserve-storage",
  input: z.object({ documentId: z.string(), fullText: z.string() }),
  output: z.object({ reservedBytes: z.int() }),
  effects: { reads: [], writes: ["storage_reservations"] },
  idempotent: true,
  handler: async ({ documentId, fullText }) => {
    const reservedBytes = Buffer.byteLength(fullText);
    await pool.query("INSERT INTO storage_reservations VALUES ($1, $2) ON CONFLICT DO NOTHING", [
      documentId,
      reservedBytes,
    ]);
    return { reservedBytes };
  },
});

export const releaseStorage = procedure({
  name: "release-storage",
  input: z.object({ documentId: z.string() }),
  output: z.object({}),
  effects: { reads: [], writes: ["storage_reservations"] },
  idempotent: true,
  handler: async ({ documentId }) => {
    await pool.query("DELETE FROM storage_reservations WHERE document_id = $1", [documentId]);
    return {};
  },
});
