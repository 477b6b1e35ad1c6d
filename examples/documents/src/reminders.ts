// Reminders: a contract that was archived is looked at again before its term ends.
import { event, onEvent, procedure, workflow } from "@tsdev/sdk";
import { z } from "zod";
import { pool } from "./database.ts";

export const documentArchived = event({
  name: "document.archived",
  payload: z.object({ documentId: z.string(), termMonths: z.int().optional() }),
});

export const writeReminder = procedure({
  name: "write-reminder",
  input: z.object({ documentId: z.string(), termMonths: z.int() }),
  output: z.object({}),
  effects: { reads: ["documents"], writes: ["reminders"] },
  idempotent: true,
  handler: async ({ documentId, termMonths }) => {
    await pool.query(
      `INSERT INTO reminders SELECT id, (received_at + make_interval(months => $2) - interval '1 month')::date
       FROM documents WHERE id = $1 ON CONFLICT DO NOTHING`,
      [documentId, termMonths],
    );
    return {};
  },
});

export const remindOfContract = workflow("remind-of-contract")
  .input(z.object({ documentId: z.string(), termMonths: z.int() }))
  .step(writeReminder);

export const archivedContracts = onEvent({
  name: "archived-contracts",
  event: documentArchived,
  filter: ({ termMonths }) => termMonths !== undefined,
  workflow: remindOfContract,
  input: ({ documentId, termMonths = 12 }) => ({ documentId, termMonths }),
});
