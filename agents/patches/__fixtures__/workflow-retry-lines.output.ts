// retry send-mail
import { z } from "zod";
import { workflow } from "../../../sdk/index.ts";
import { load, mail, receipt, track } from "./procedures.ts";

export const used = [load, mail, receipt, track];

// 🚚 multi-line chain
export const flow = workflow("flow")
  .input(z.object({ orderId: z.string() }))
  .step(load)
  .step(mail)
  .withRetry({ maxAttempts: 3, backoff: "exponential" })
  .step(track);
