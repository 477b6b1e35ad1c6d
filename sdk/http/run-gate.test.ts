// The gate of runs: a run is its starter's to see and control and of whom the app names, and who may not look learns of none.
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { openEngine } from "../engine/open-engine.ts";
import { createLog } from "../log.ts";
import { event } from "../workflows/event.ts";
import { workflow } from "../workflows/workflow.ts";
import { type AppOptions, createApp } from "./create-app.ts";

const review = workflow("review").input(z.object({})).approve("boss");
const paid = event({ name: "paid", payload: z.object({}) });
const engine = await openEngine({ log: createLog({ component: "test", write: () => {} }) });
afterAll(() => engine.close());

function appWith(options: Pick<AppOptions, "control" | "runs"> & { known?: boolean }) {
  const { known = true, ...others } = options;
  const app = createApp({
    workflows: [review],
    events: [paid],
    publishOverHttp: true,
    engine,
    openapi: false,
    ...others,
    ...(known
      ? {
          authenticate: (request: Request) => {
            const [id, ...roles] = (request.headers.get("authorization") ?? "").split(" ");
            return id ? { id, roles } : undefined;
          },
        }
      : {}),
  });
  const send = async (who: string, path: string, init: RequestInit) => {
    const headers = { "content-type": "application/json", ...(who === "" ? {} : { authorization: who }) };
    const response = await app.request(path, { headers, ...init });
    const streams = response.headers.get("content-type") === "text/event-stream";
    const body = (streams ? {} : await response.json()) as { code?: string; fix?: string };
    if (streams) await response.body?.cancel();
    return { status: response.status, body };
  };
  const post = (who: string, path: string, body: object = {}) =>
    send(who, path, { method: "POST", body: JSON.stringify(body) });
  return Object.assign(post, { get: (who: string, path: string) => send(who, path, {}) });
}

async function begin(ask: ReturnType<typeof appWith>, who: string): Promise<string> {
  const runId = crypto.randomUUID();
  expect((await ask(who, `/workflows/review/runs?wait=false&runId=${runId}`)).status).toBe(202);
  return `/workflows/review/runs/${runId}`;
}

const verbs = ["cancel", "pause", "resume", "retry", "rerun"];

test("where the app knows its callers a run is controlled by whoever began it and by nobody else", async () => {
  const ask = appWith({});
  const run = await begin(ask, "ada");
  for (const verb of verbs) {
    expect(await ask("bob admin", `${run}/${verb}`), verb).toMatchObject({
      status: 403,
      body: { code: "forbidden", fix: expect.stringContaining("`control`") },
    });
    expect((await ask("", `${run}/${verb}`)).status, verb).toBe(401);
  }
  expect((await engine.run(run.split("/").at(-1)!))?.startedBy).toBe("ada");
  expect((await ask("ada", `${run}/pause`)).status).toBe(202);
  expect((await ask("ada", `${run}/resume`)).status).toBe(202);
  expect((await ask("ada", `${run}/cancel`)).status).toBe(202);
});

test("a run is seen by whoever began it and by whom control lets act on every run, and to others there is none", async () => {
  const app = appWith({ control: { roles: ["boss"], starter: true } });
  const run = await begin(app, "ada");
  const none = "/workflows/review/runs/none";
  const look = app.get;
  for (const path of [run, `${run}/events`]) {
    expect((await look("", path)).status, path).toBe(401);
    const told = await look("bob", path);
    expect(told, path).toMatchObject({ status: 404, body: { code: "not_found" } });
    expect(JSON.stringify(told).replaceAll(run.split("/").at(-1)!, "none"), path).toBe(
      JSON.stringify(await look("bob", path.replace(run, none))),
    );
  }
  const listed = async (who: string) =>
    (await look(who, "/workflows/review/runs")).body as unknown as { runs: { runId: string; startedBy?: string }[] };
  expect((await look("ada", run)).status).toBe(200);
  expect((await look("kim boss", run)).status).toBe(200);
  expect((await listed("bob")).runs).toEqual([]);
  expect(new Set((await listed("ada")).runs.map(({ startedBy }) => startedBy))).toEqual(new Set(["ada"]));
  expect((await listed("kim boss")).runs.map(({ runId }) => runId)).toContain(run.split("/").at(-1));
});

test("an app may let everybody who is known see every run, or a role", async () => {
  const run = await begin(appWith({}), "ada");
  const status = async (runs: AppOptions["runs"], who: string) => (await appWith({ runs: runs! }).get(who, run)).status;
  expect(await status("authenticated", "bob")).toBe(200);
  expect(await status({ roles: ["auditor"], starter: true }, "ada")).toBe(200);
  expect(await status({ roles: ["auditor"], starter: true }, "bob")).toBe(404);
  expect(await status({ roles: ["auditor"], starter: true }, "eve auditor")).toBe(200);
  expect(await status({ roles: ["auditor"] }, "ada")).toBe(403);
});

test("nobody answers approvals and publishes events until the app says who, the starter least of all", async () => {
  const ask = appWith({});
  const run = await begin(ask, "ada");
  for (const who of ["ada", "bob"]) {
    expect((await ask(who, `${run}/approvals/boss`, { approved: true })).status).toBe(403);
    expect((await ask(who, "/events/paid")).status).toBe(403);
  }
});

test("a run that nobody known began is nobody's to control", async () => {
  const ask = appWith({});
  const { runId } = await engine.start(review, {});
  expect((await ask("undefined", `/workflows/review/runs/${runId}/cancel`)).status).toBe(403);
});

test("roles beside the starter may do everything to every run", async () => {
  const ask = appWith({ control: { roles: ["boss"], starter: true } });
  const run = await begin(ask, "ada");
  expect((await ask("bob", `${run}/pause`)).status).toBe(403);
  expect((await ask("ada", `${run}/approvals/boss`, { approved: true })).status).toBe(403);
  expect((await ask("ada", `${run}/pause`)).status).toBe(202);
  expect((await ask("kim boss", `${run}/resume`)).status).toBe(202);
  expect((await ask("kim boss", `${run}/approvals/boss`, { approved: true })).status).toBe(202);
  expect((await ask("kim boss", "/events/paid")).status).toBe(202);
});

test("roles alone leave the starter out, and any caller who is known is let in only where the app says so", async () => {
  const roles = appWith({ control: { roles: ["boss"] } });
  const run = await begin(roles, "ada");
  expect((await roles("ada", `${run}/cancel`)).status).toBe(403);
  expect((await appWith({ control: "authenticated" })("bob", `${run}/cancel`)).status).toBe(202);
});

test("who may not look at runs is told the same of a run of others and of none", async () => {
  const ask = appWith({ runs: { roles: ["auditor"] } });
  const run = await begin(ask, "ada auditor");
  const of = async (path: string) => (await ask("bob", `${path}/cancel`)).body;
  expect(await of(run)).toEqual(await of("/workflows/review/runs/none"));
  expect((await ask("eve auditor", "/workflows/review/runs/none/cancel")).status).toBe(404);
});

test("an app that knows no callers controls nothing over HTTP until it is opened", async () => {
  const ask = appWith({ known: false });
  const run = await begin(ask, "");
  for (const verb of [...verbs, "approvals/boss"]) expect((await ask("", `${run}/${verb}`)).status, verb).toBe(401);
  expect((await appWith({ known: false, control: "open" })("", `${run}/cancel`)).status).toBe(202);
});
