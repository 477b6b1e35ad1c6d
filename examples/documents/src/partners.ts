// Where the services are that this app works with, and what their answers mean to it.
import { TsdevError } from "@tsdev/sdk";
import type { z } from "zod";

export type Partner = "ocr" | "suppliers" | "signatures" | "archive";

export interface Asked<T> {
  method?: "GET" | "PUT" | "POST";
  body?: unknown;
  /** The contract of the answer. */
  answer: z.ZodType<T>;
  signal: AbortSignal;
}

/** Asks a partner; anything but success is an error that names it. Only what may go better next time is `unavailable`. */
export async function ask<T>(partner: Partner, path: string, { method = "GET", body, answer, signal }: Asked<T>) {
  const base = process.env.PARTNERS_URL;
  if (!base) {
    throw new TsdevError("unavailable", {
      message: "this app does not know where its partners are: PARTNERS_URL is not set",
      fix: "start them with `npm run partners` and set PARTNERS_URL to the address they print",
    });
  }
  const init: RequestInit = { method, signal };
  if (body !== undefined) {
    init.headers = { "content-type": "application/json" };
    init.body = JSON.stringify(body);
  }
  const response = await fetch(`${base}/${partner}${path}`, init);
  if (response.ok) return answer.parse(await response.json());
  await response.body?.cancel();
  throw new TsdevError(response.status >= 500 ? "unavailable" : "conflict", {
    message: `${partner} answered ${response.status} to ${method} ${path}`,
    fix: response.status >= 500 ? "try again in a moment" : "look at what was sent",
  });
}
