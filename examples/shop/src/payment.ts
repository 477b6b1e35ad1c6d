// Payment: charges the card through the payment service.
import { procedure } from "@tsdev/sdk";
import { z } from "zod";
import { answer, partnerUrl } from "./partners.ts";

export const chargeCard = procedure({
  name: "charge-card",
  input: z.object({
    reference: z.string(),
    paymentMethod: z.string(),
    totalCents: z.int(),
    committedUnits: z.int(),
  }),
  output: z.object({ chargeId: z.string() }),
  effects: { reads: [], writes: ["payment"] },
  handler: async ({ reference, paymentMethod, totalCents, committedUnits }, ctx) => {
    const response = await fetch(partnerUrl("payment", "/charges"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        reference,
        paymentMethod,
        amountCents: totalCents,
        description: `${committedUnits} items`,
      }),
      signal: ctx.signal,
    });
    return answer("payment", response, z.object({ chargeId: z.string() }));
  },
});
