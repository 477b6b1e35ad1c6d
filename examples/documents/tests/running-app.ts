// The app in this process on the database at DATABASE_URL, with partners of its own.
import { after, before } from "node:test";
import { setTimeout as moment } from "node:timers/promises";
import { type Partners, startPartners } from "../partners/partners.ts";

export const clerk = { authorization: "Bearer a-clerk" };

/** Starts before the file's tests and ends after them. */
export function runningApp() {
  let partners: Partners;
  let stop: () => Promise<void>;
  let url: string;

  before(async () => {
    partners = await startPartners();
    Object.assign(process.env, { PARTNERS_URL: partners.url, CLERK_TOKEN: "a-clerk", COOL_OFF_MS: "50" });
    process.env.SIGNATURE_SECRET = "a-secret";
    // Imported here: the settings are read when a module is loaded.
    const { discover } = await import("@tsdev/sdk");
    const { serve } = await import("@tsdev/sdk/http");
    const { documentsApp } = await import("../src/app.ts");
    const { migrate, pool } = await import("../src/database.ts");
    const { engine } = await import("../src/engine.ts");
    await migrate();
    const registry = await discover(new URL("../src/", import.meta.url), { exclude: ["main.ts"] });
    const server = await serve(documentsApp(registry, await engine()), { port: 0, drainMs: 0 });
    url = server.url;
    stop = async () => {
      await server.stop();
      await pool.end();
      await partners.close();
    };
  });
  after(() => stop());

  const runUrl = (runId: string) => `${url}/workflows/document-pipeline/runs/${runId}`;
  return {
    times: (request: string) => partners.times(request),
    get: (path: string) => fetch(url + path),
    post: (path: string, body: unknown, headers: Record<string, string> = {}) =>
      fetch(url + path, {
        method: "POST",
        headers: body instanceof FormData ? headers : { "content-type": "application/json", ...headers },
        body: body instanceof FormData ? body : typeof body === "string" ? body : JSON.stringify(body),
      }),
    /** Asks until the run stands as is wanted. */
    async until(runId: string, wanted: (run: Run) => boolean): Promise<Run> {
      for (let tries = 0; tries < 600; tries++) {
        const run = (await (await fetch(runUrl(runId))).json()) as Run;
        if (wanted(run)) return run;
        await moment(50);
      }
      throw new Error(`${runId} did not come so far: ${await (await fetch(runUrl(runId))).text()}`);
    },
    answer: (runId: string, approved: boolean) =>
      fetch(`${runUrl(runId)}/approvals/clerk`, {
        method: "POST",
        headers: { "content-type": "application/json", ...clerk },
        body: JSON.stringify({ approved }),
      }),
  };
}

export interface Run {
  state: string;
  waits: { kind: string; node: string }[];
  output?: Record<string, unknown>;
  error?: { code: string; message: string };
}

export const waitsFor = (kind: string) => (run: Run) => run.waits?.some((wait) => wait.kind === kind) ?? false;
