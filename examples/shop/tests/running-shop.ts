// A shop in this process on the database at DATABASE_URL, with partners of its own.
import { after, before } from "node:test";
import { type Engine, openEngine } from "@tsdev/sdk";
import { type Partners, startPartners } from "../partners/partners.ts";
import { failureOf } from "../partners/schedule.ts";
import { shop } from "../src/app.ts";
import { databaseUrl, pool } from "../src/database.ts";
import { migrate } from "../src/migrations.ts";
import { seed } from "../src/seed.ts";

const partnerSeed = 7;

/** Starts before the file's tests and ends after them. */
export function runningShop() {
  let partners: Partners;
  let engine: Engine;
  let app: ReturnType<typeof shop>;

  before(async () => {
    partners = await startPartners({ seed: partnerSeed });
    process.env.PARTNERS_URL = partners.url;
    await migrate();
    await seed();
    engine = await openEngine({ databaseUrl });
    app = shop(engine);
  });
  after(async () => {
    await engine.close();
    await pool.end();
    await partners.close();
  });

  return {
    tries: (...order: Parameters<Partners["tries"]>) => partners.tries(...order),
    get: async (path: string) => app.request(path),
    post: async (path: string, body?: unknown) =>
      app.request(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: body === undefined ? undefined : JSON.stringify(body),
      }),
  };
}

/** The first of the candidates whose first try at the partner goes well, or fails. */
export function firstThat(
  what: "works" | "fails",
  partner: "payment" | "carrier",
  candidates: Iterable<string>,
): string {
  for (const candidate of candidates) {
    const fails = failureOf(partnerSeed, partner, candidate, 1) !== undefined;
    if (fails === (what === "fails")) return candidate;
  }
  throw new Error(`no candidate ${what}`);
}
