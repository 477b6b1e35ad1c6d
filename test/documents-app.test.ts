// The example examples/documents as its own process on a real Postgres: followed, killed, carried on, refused, on time.
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Partners, startPartners } from "../examples/documents/partners/partners.ts";
import { type PostgresFixture, startPostgres } from "../sdk/engine/postgres.fixture.ts";
import { childEnvironment, eventually } from "./platform.fixture.ts";

const example = join(import.meta.dirname, "../examples/documents");
const clerk = { authorization: "Bearer a-clerk" };
const json = { "content-type": "application/json" };

let postgres: PostgresFixture;
let partners: Partners;
let db: pg.Pool;
let app: App;
const apps: App[] = [];
/** A page with `[held]` is answered when this says so. */
let held: { asked: PromiseWithResolvers<void>; answered: PromiseWithResolvers<void> };

beforeAll(async () => {
  postgres = await startPostgres();
  db = new pg.Pool({ connectionString: postgres.url, max: 2 });
  // A connection that is just being closed may hear of the server's end first.
  db.on("error", () => {});
  partners = await startPartners({
    onPage: async (page) => {
      if (!page.includes("[held]")) return;
      held.asked.resolve();
      await held.answered.promise;
    },
  });
  app = await App.start();
});

afterAll(async () => {
  for (const one of apps) await one.end("SIGKILL");
  await partners?.close();
  await db?.end();
  await postgres?.stop();
});

interface Run {
  state: string;
  waits: { kind: string; node: string }[];
  output?: Record<string, unknown>;
  error?: { code: string };
}

class App {
  readonly url: string;
  readonly child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.child = child;
  }

  static async start(env: Record<string, string> = {}): Promise<App> {
    const child = spawn(process.execPath, ["src/main.ts"], {
      cwd: example,
      env: childEnvironment({
        DATABASE_URL: postgres.url,
        PARTNERS_URL: partners.url,
        CLERK_TOKEN: "a-clerk",
        SIGNATURE_SECRET: "a-secret",
        COOL_OFF_MS: "300",
        LEASE_MS: "1000",
        PORT: "0",
        ...env,
      }),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said: string[] = [];
    const url = new Promise<string>((resolve) => {
      for (const stream of [child.stdout!, child.stderr!]) {
        createInterface({ input: stream }).on("line", (line) => {
          said.push(line);
          const found = /listening on (http:\S+?)"/.exec(line)?.[1];
          if (found) resolve(found);
        });
      }
    });
    const ended = once(child, "exit").then(() => {
      throw new Error(`the app ended:\n${said.join("\n")}`);
    });
    const started = new App(await Promise.race([url, ended]), child);
    ended.catch(() => {});
    apps.push(started);
    return started;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill(signal);
    await ended;
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return fetch(this.url + path, { method: "POST", headers: { ...json, ...headers }, body: text });
  }

  async upload(text: string): Promise<{ documentId: string; runId: string }> {
    const response = await this.post("/documents", { owner: "shop", title: "A document", text });
    expect(response.status).toBe(202);
    return (await response.json()) as { documentId: string; runId: string };
  }

  async run(runId: string): Promise<Run> {
    return (await (await fetch(`${this.url}/workflows/document-pipeline/runs/${runId}`)).json()) as Run;
  }

  until(what: string, runId: string, condition: (run: Run) => boolean): Promise<Run> {
    return eventually(`${runId} ${what}`, async () => {
      const run = await this.run(runId);
      return condition(run) ? run : undefined;
    });
  }

  async answer(runId: string, approved: boolean): Promise<void> {
    await this.until("waits for the clerk", runId, waitsFor("approval"));
    const path = `/workflows/document-pipeline/runs/${runId}/approvals/clerk`;
    expect((await this.post(path, { approved }, clerk)).status).toBe(202);
  }

  /** Events after the given one, until so many came or the stream ended. */
  async events(runId: string, after: number, most = Number.POSITIVE_INFINITY): Promise<{ id: number; type: string }[]> {
    const leave = new AbortController();
    const response = await fetch(`${this.url}/workflows/document-pipeline/runs/${runId}/events`, {
      headers: after > 0 ? { "last-event-id": String(after) } : {},
      signal: leave.signal,
    });
    expect(response.headers.get("content-type")).toMatch("text/event-stream");
    const found: { id: number; type: string }[] = [];
    let text = "";
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const messages = text.split("\n\n");
      text = messages.pop() ?? "";
      for (const message of messages) {
        const id = /^id: ?(\d+)$/m.exec(message)?.[1];
        const data = /^data: ?(.*)$/m.exec(message)?.[1];
        if (id && data) found.push({ id: Number(id), type: JSON.parse(data).type });
      }
      if (found.length >= most) break;
    }
    leave.abort();
    return found.slice(0, most);
  }
}

const waitsFor = (kind: string) => (run: Run) => run.waits.some((wait) => wait.kind === kind);
const reserved = async (documentId: string) =>
  (await db.query("SELECT 1 FROM storage_reservations WHERE document_id = $1", [documentId])).rowCount;

test("an invoice is archived after its approval, and its events come once each across a reconnect", async () => {
  const { documentId, runId } = await app.upload("Invoice [busy] Tax id: DE1\f[blurred]\fTotal: 12.50");
  const first = await app.events(runId, 0, 3);
  await app.answer(runId, true);
  const rest = await app.events(runId, first.at(-1)!.id);
  const all = [...first, ...rest];
  expect(all.map(({ id }) => id)).toEqual(all.map((_, index) => index + 1));
  expect(all[0]!.type).toMatch(/^run\.(queued|started)$/);
  expect(all.at(-1)!.type).toBe("run.done");
  expect(all.map(({ type }) => type)).toEqual(
    expect.arrayContaining(["attempt.failed", "decided", "approval.answered", "timer.set", "child.started"]),
  );

  const run = await app.run(runId);
  expect(run).toMatchObject({ state: "done", output: { unreadablePages: [2], supplier: "Supplier DE1" } });
  expect(await reserved(documentId)).toBe(1);
  const { rows } = await db.query("SELECT kind, archive_reference FROM documents WHERE id = $1", [documentId]);
  expect(rows).toEqual([{ kind: "invoice", archive_reference: expect.stringMatching(/^ar_/) }]);
  expect(partners.times(`PUT /archive/jobs/${documentId}`)).toBe(1);
});

test("a refused document fails, its storage is released, and nothing is sent to the archive", async () => {
  const { documentId, runId } = await app.upload("Invoice. Tax id: DE2. Total: 1.00");
  await app.until("waits", runId, waitsFor("approval"));
  expect(await reserved(documentId)).toBe(1);
  await app.answer(runId, false);
  await app.until("fails", runId, ({ state }) => state === "failed");
  expect((await app.events(runId, 0)).map(({ type }) => type)).toContain("step.compensated");
  expect(await reserved(documentId)).toBe(0);
  expect(partners.times(`PUT /archive/jobs/${documentId}`)).toBe(0);
});

test("a contract waits for its signature, which counts once, and leads to a reminder", async () => {
  const { documentId, runId } = await app.upload("A lease for 24 months");
  await app.answer(runId, true);
  await app.until("waits for the signature", runId, waitsFor("event"));
  const body = JSON.stringify({ type: "signed", documentId, signer: "the landlord" });
  const deliver = (secret: string) => {
    const signature = createHmac("sha256", secret).update(body).digest("hex");
    return app.post("/webhooks/signatures", body, { "x-signature": `sha256=${signature}` });
  };
  expect((await deliver("guessed")).status).toBe(401);
  expect((await app.run(runId)).state).toBe("waiting");
  for (let times = 0; times < 2; times++) expect((await deliver("a-secret")).ok).toBe(true);
  await app.until("ends", runId, ({ state }) => state === "done");
  expect(await app.run(runId)).toMatchObject({ output: { signature: { documentId, signer: "the landlord" } } });
  await eventually("the reminder", async () => {
    const { rowCount } = await db.query("SELECT 1 FROM reminders WHERE document_id = $1", [documentId]);
    return rowCount === 1;
  });
  const { rows } = await db.query("SELECT count(*)::int AS count FROM tsdev.runs WHERE workflow = 'record-signature'");
  expect(rows).toEqual([{ count: 1 }]);
});

test("killed in the middle of a page and again in the cool-off, a run is carried on by the next process", async () => {
  held = { asked: Promise.withResolvers(), answered: Promise.withResolvers() };
  const { documentId, runId } = await app.upload("Invoice Tax id: DE4\f[held] Total: 3.00\fpage three");
  await held.asked.promise;
  await eventually("the other pages are read", async () => {
    const run = (await app.run(runId)) as unknown as { finishedSteps: string[] };
    return run.finishedSteps.filter((step) => /^recognised\[[02]\]\/recognise-page$/.test(step)).length === 2;
  });
  await app.end("SIGKILL");
  const asked = partners.times("POST /ocr/recognise");
  held.answered.resolve();
  app = await App.start({ COOL_OFF_MS: "1500" });
  await app.answer(runId, true);
  expect(partners.times("POST /ocr/recognise")).toBe(asked + 1);

  await app.until("cools off", runId, waitsFor("timer"));
  await app.end("SIGKILL");
  app = await App.start();
  await app.until("ends", runId, ({ state }) => state === "done");
  const events = await app.events(runId, 0);
  expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => index + 1));
  expect(events.map(({ type }) => type)).toContain("run.resumed");
  expect(await reserved(documentId)).toBe(1);
  expect(partners.times(`PUT /archive/jobs/${documentId}`)).toBe(1);
});

test("documents that come by the dozen are one run each, however often they are sent", async () => {
  const documents = [1, 2, 3].map((number) => ({
    documentId: `batch-${number}`,
    owner: "archive",
    title: `Number ${number}`,
    text: `Invoice ${number}. Tax id: DE5. Total: ${number}.00`,
  }));
  const sent = await Promise.all([1, 2].map(async () => (await app.post("/imports", { documents })).json()));
  expect(sent[1]).toEqual(sent[0]);
  const waiting = await eventually("three pipelines wait for the clerk", async () => {
    const path = "/workflows/document-pipeline/runs?state=waiting";
    const { runs } = (await (await fetch(app.url + path)).json()) as { runs: Run[] };
    return runs.length === 3 ? runs : undefined;
  });
  expect(waiting.every(waitsFor("approval"))).toBe(true);
  const { rows } = await db.query("SELECT count(*)::int AS count FROM documents WHERE owner = 'archive'");
  expect(rows).toEqual([{ count: 3 }]);
  // The supplier is one for the three: the cache was asked and the service once.
  expect(partners.times("GET /suppliers/DE5")).toBe(1);
});

test("two processes with the same schedule write one digest for each time", async () => {
  const two = await Promise.all([1, 2].map(() => App.start({ DIGEST_SCHEDULE: "* * * * * *" })));
  const count = async () => (await db.query("SELECT count(*)::int AS count FROM digests")).rows[0].count as number;
  await eventually("three digests", async () => (await count()) >= 3);
  await Promise.all(two.map((one) => one.end("SIGTERM")));
  expect(two.map((one) => one.child.exitCode)).toEqual([0, 0]);
  // The digest's table has one row for each time; what the two began last, the process that still runs carries on.
  const runs = await db.query("SELECT count(*)::int AS count FROM tsdev.runs WHERE workflow = 'digest'");
  await eventually("a digest for each run", async () => (await count()) === runs.rows[0].count);
});
