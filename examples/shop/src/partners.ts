// Where the companies are that the shop works with, and what their answers mean to it.
import { TsdevError } from "@tsdev/sdk";
import type { z } from "zod";

export type Partner = "payment" | "carrier" | "mail" | "analytics";

/** The address of a partner: `PAYMENT_URL` and so on, or its folder under `PARTNERS_URL`. */
export function partnerUrl(partner: Partner, path: string): string {
  const own = process.env[`${partner.toUpperCase()}_URL`];
  const all = process.env.PARTNERS_URL;
  const base = own ?? (all ? `${all}/${partner}` : undefined);
  if (base) return base.replace(/\/$/, "") + path;
  throw new TsdevError("unavailable", {
    message: `the shop does not know where its ${partner} service is: PARTNERS_URL is not set`,
    fix: "start the partners with `npm run partners` and set PARTNERS_URL to the address they print",
  });
}

/** The partner's answer, checked; anything but success is an error that names the partner. */
export async function answer<T>(partner: Partner, response: Response, schema: z.ZodType<T>): Promise<T> {
  if (response.ok) return schema.parse(await response.json());
  await response.body?.cancel();
  throw new TsdevError(response.status >= 500 ? "unavailable" : "conflict", {
    message: `the ${partner} service answered ${response.status}`,
    fix: response.status >= 500 ? "try again in a moment" : "check what was sent",
  });
}
