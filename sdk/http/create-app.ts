// Creates the Hono app that serves procedures and workflows; the author adds routes of his own to it.
import { randomUUID } from "node:crypto";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import type { Engine } from "../engine/engine.ts";
import { openEngine } from "../engine/open-engine.ts";
import { TsdevError } from "../errors.ts";
import { createLog } from "../log.ts";
import { call } from "../procedures/call.ts";
import type { AnyProcedure } from "../procedures/procedure.ts";
import type { AnyWorkflow } from "../workflows/workflow.ts";
import { setState, stateOf } from "./app-state.ts";
import { toResponse } from "./problem.ts";
import { nameRoute } from "./route-name.ts";

export interface AppOptions {
  procedures?: readonly AnyProcedure[];
  workflows?: readonly AnyWorkflow[];
  /** Where runs live. Default: in memory. */
  engine?: Engine;
  /** Limit of a request's body under `/rpc` and `/workflows`, bytes. Default 1 MiB. */
  maxBodyBytes?: number;
}

/**
 * POST /rpc/:procedure, POST /workflows/:name/runs (`?wait=false` starts, `?runId=` or `Idempotency-Key` names the
 * run), GET /workflows/:name/runs/:id, GET /healthz and /readyz. Throws `duplicate_name`.
 *
 * @example
 * const app = createApp({ procedures: [validateOrder], workflows: [orderProcessing], engine });
 * app.get("/orders/:id", async (c) => c.json(await loadOrder(c.req.param("id"))));
 */
export function createApp(options: AppOptions = {}): Hono {
  const procedures = byName("procedures", options.procedures ?? []);
  const workflows = byName("workflows", options.workflows ?? []);
  let engine: Promise<Engine> | undefined = options.engine && Promise.resolve(options.engine);
  const app = new Hono();
  const log = createLog({ component: "tsdev-http" });
  setState(app, {
    workflows: [...workflows.values()],
    engine: () => (engine ??= openEngine()),
    draining: false,
  });

  app.use("*", nameRoute);
  app.onError((error) => {
    if (error instanceof HTTPException) return error.getResponse();
    if (!TsdevError.is(error)) log.error(error.message, { error });
    return toResponse(error);
  });
  app.notFound((c) =>
    toResponse(
      new TsdevError("not_found", {
        message: `no route for ${c.req.method} ${c.req.path}`,
        fix: "check the method and the path",
      }),
    ),
  );

  const limit = bodyLimit({
    maxSize: options.maxBodyBytes ?? 1024 * 1024,
    onError: () => {
      throw new TsdevError("payload_too_large", {
        message: "the body is larger than this app allows",
        fix: "send less, or raise maxBodyBytes of createApp",
      });
    },
  });

  app.post("/rpc/:procedure", limit, async (c) => {
    const procedure = find(procedures, c.req.param("procedure"), "procedure");
    const idempotencyKey = c.req.header("idempotency-key");
    const output: unknown = await call(procedure, await body(c), {
      signal: c.req.raw.signal,
      ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    });
    return output === undefined ? c.body(null, 204) : c.json(output);
  });

  app.post("/workflows/:name/runs", limit, async (c) => {
    const workflow = find(workflows, c.req.param("name"), "workflow");
    const runId = c.req.query("runId") ?? c.req.header("idempotency-key") ?? randomUUID();
    const runs = await stateOf(app)!.engine();
    const input = (await body(c)) as never;
    const location = `/workflows/${encodeURIComponent(workflow.name)}/runs/${encodeURIComponent(runId)}`;
    if (c.req.query("wait") === "false") {
      await runs.start(workflow, input, { runId });
      return c.json({ runId, state: "running" }, 202, { location });
    }
    try {
      // Not bound to the request: a client that hangs up does not cancel a run, it can ask for it again.
      const output = await runs.execute(workflow, input, { runId });
      return c.json({ runId, state: "done", output }, 200, { location });
    } catch (error) {
      if (!TsdevError.is(error)) log.error("a run failed", { runId, workflow: workflow.name, error });
      return toResponse(error, { runId });
    }
  });

  app.get("/workflows/:name/runs/:id", async (c) => {
    const workflow = find(workflows, c.req.param("name"), "workflow");
    const id = c.req.param("id");
    const status = await (await stateOf(app)!.engine()).run(id);
    if (status?.workflow === workflow.name) return c.json(status);
    throw new TsdevError("not_found", {
      message: `workflow "${workflow.name}" has no run "${id}"`,
      fix: "use the runId that its start gave",
    });
  });

  app.get("/healthz", (c) => c.json({ ok: true }));
  app.get("/readyz", async (c) => {
    if (stateOf(app)!.draining) return c.json({ ready: false, reason: "stopping" }, 503);
    if (engine) await (await engine).check();
    return c.json({ ready: true });
  });
  return app;
}

function byName<T extends { readonly name: string }>(what: string, items: readonly T[]): Map<string, T> {
  const map = new Map<string, T>();
  for (const item of items) {
    if (map.has(item.name)) {
      throw new TsdevError("duplicate_name", {
        message: `two ${what} have the name "${item.name}"`,
        fix: "rename one of them",
      });
    }
    map.set(item.name, item);
  }
  return map;
}

function find<T>(items: ReadonlyMap<string, T>, name: string, what: string): T {
  const item = items.get(name);
  if (item) return item;
  const known = [...items.keys()].join(", ") || "none";
  throw new TsdevError("not_found", { message: `no ${what} "${name}"`, fix: `known: ${known}` });
}

/** The JSON body; none is an empty object. */
async function body(c: Context): Promise<unknown> {
  const text = await c.req.text();
  if (text.trim() === "") return {};
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TsdevError("invalid_input", { message: "the body is not JSON", fix: "send JSON", cause });
  }
}
