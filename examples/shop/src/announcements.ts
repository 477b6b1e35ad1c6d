// What the world is told about a purchase: a mail to the customer, an event to the analytics service.
import { procedure } from "@tsdev/sdk";
import { z } from "zod";
import { answer, partnerUrl } from "./partners.ts";

export const sendConfirmation = procedure({
  name: "send-confirmation",
  input: z.object({ orderNumber: z.string(), email: z.string(), totalCents: z.int() }),
  output: z.object({ mailId: z.string() }),
  effects: { reads: [], writes: ["mail"] },
  handler: async ({ orderNumber, email, totalCents }, ctx) => {
    const response = await fetch(partnerUrl("mail", "/messages"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        to: email,
        subject: `Your order ${orderNumber}`,
        text: `Thank you. We have charged ${(totalCents / 100).toFixed(2)} EUR.`,
      }),
      signal: ctx.signal,
    });
    return answer("mail", response, z.object({ mailId: z.string() }));
  },
});

export const trackPurchase = procedure({
  name: "track-purchase",
  input: z.object({ orderNumber: z.string(), customerId: z.int(), totalCents: z.int() }),
  output: z.object({ eventId: z.string() }),
  effects: { reads: [], writes: ["analytics"] },
  handler: async ({ orderNumber, customerId, totalCents }, ctx) => {
    const response = await fetch(partnerUrl("analytics", "/events"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ event: "purchase", orderNumber, customerId, totalCents }),
      signal: ctx.signal,
    });
    return answer("analytics", response, z.object({ eventId: z.string() }));
  },
});
