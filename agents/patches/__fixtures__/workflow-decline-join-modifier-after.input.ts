// join send-mail, track, declines: modifier-on-step
import { z } from "zod";
import { workflow } from "../../../sdk/index.ts";
import { load, mail, receipt, track } from "./procedures.ts";

export const used = [load, mail, receipt, track];

export const flow = workflow("flow")
  .input(z.object({ orderId: z.string() }))
  .step(mail)
  .step(track)
  .withRetry({ maxAttempts: 2, backoff: "exponential" });
