// retry track, declines: no-such-step
import { z } from "zod";
import { workflow } from "../../../sdk/index.ts";
import { load, mail, receipt, track } from "./procedures.ts";

export const used = [load, mail, receipt, track];

export const first = workflow("flow").input(z.object({ orderId: z.string() })).step(mail);
export const flow = first.step(track);
