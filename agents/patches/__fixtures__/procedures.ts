// Procedures that the workflow fixtures import.
import { z } from "zod";
import { procedure } from "../../../sdk/index.ts";

const Order = z.object({ orderId: z.string() });

export const load = procedure({
  name: "load",
  input: Order,
  output: z.object({ parcel: z.string() }),
  handler: async ({ orderId }) => ({ parcel: orderId }),
});

export const mail = procedure({
  name: "send-mail",
  input: z.object({ orderId: z.string() }),
  output: z.object({ mailId: z.string() }),
  handler: async ({ orderId }) => ({ mailId: orderId }),
});

export const track = procedure({
  name: "track",
  input: z.object({ orderId: z.string() }),
  output: z.object({ eventId: z.string() }),
  handler: async ({ orderId }) => ({ eventId: orderId }),
});

export const receipt = procedure({
  name: "receipt",
  input: z.object({ mailId: z.string() }),
  output: z.object({ receiptId: z.string() }),
  handler: async ({ mailId }) => ({ receiptId: mailId }),
});
