// join send-mail, track, declines: comment-between
import { z } from "zod";
import { workflow } from "../../../sdk/index.ts";
import { load, mail, receipt, track } from "./procedures.ts";

export const used = [load, mail, receipt, track];

export const flow = workflow("flow")
  .input(z.object({ orderId: z.string() }))
  .step(mail)
  // The event must know nothing of the mail.
  .step(track);
