// Creates the Hono app that serves procedures, workflows, events and webhooks; the author adds routes of his own to it.
import { Hono, type MiddlewareHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import type { Engine } from "../engine/engine.ts";
import { openEngine } from "../engine/open-engine.ts";
import { TsdevError } from "../errors.ts";
import { introspectionRoutes } from "../introspection/routes.ts";
import { createLog } from "../log.ts";
import { DeclaredError } from "../procedures/declared-error.ts";
import type { AnyProcedure } from "../procedures/procedure.ts";
import { createRegistry, type Registry } from "../registry.ts";
import { handleWebhook } from "../triggers/handle-webhook.ts";
import type { AnyTrigger } from "../triggers/trigger.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import { type Authenticate, gateOf } from "./access.ts";
import { setState, stateOf } from "./app-state.ts";
import { mountDocs } from "./docs-page.ts";
import { hidePartsOf } from "./hidden-parts.ts";
import { noRoute } from "./no-route.ts";
import type { ApiInfo } from "./openapi.ts";
import { toResponse } from "./problem.ts";
import { keyOf, mountRest, mountRpc, ownPaths, restRoutes } from "./procedure-routes.ts";
import { nameRoute } from "./route-name.ts";
import { type RunAccess, runGate } from "./run-gate.ts";
import { mountEvents, mountWorkflows } from "./workflow-routes.ts";

export interface AppOptions<
  P extends readonly AnyProcedure[] = readonly AnyProcedure[],
  W extends readonly AnyWorkflow[] = readonly AnyWorkflow[],
> {
  /** All that an app declares, such as `discover` finds; instead of the lists below. */
  registry?: Registry;
  procedures?: P;
  workflows?: W;
  triggers?: readonly AnyTrigger[];
  /** Events that may be published over HTTP beside those of the workflows and triggers. */
  events?: readonly AnyEvent[];
  /** Where runs live. Default: in memory. */
  engine?: Engine;
  /** Run before every route in this order, such as `cors()`: what `app.use` adds later comes behind the routes above. */
  middleware?: readonly MiddlewareHandler[];
  /** Who calls: `ctx.principal` of procedures and of the steps of runs. */
  authenticate?: Authenticate;
  /** Which procedures `/rpc` calls. Default: all. Those with a route of their own keep it either way. */
  rpc?: boolean | ((procedure: AnyProcedure) => boolean);
  /**
   * Who may start runs and look at them. Default where there is `authenticate`: whoever is known starts, and sees the runs
   * that he began; whom `control` lets act on every run sees every run. Else open.
   */
  runs?: RunAccess;
  /**
   * Who may cancel, pause, resume, retry and rerun runs, answer approvals and publish events. Default: whoever began a
   * run, and nobody approvals and events, where there is `authenticate`; else nobody at all.
   */
  control?: RunAccess;
  /** Serves POST /events/{name}. Default: false. */
  publishOverHttp?: boolean;
  /** Limit of a request's body, bytes. Default 1 MiB. Webhooks have limits of their own. */
  maxBodyBytes?: number;
  /** What the OpenAPI document says of the app. `false`: neither /openapi.json nor /docs. */
  openapi?: ApiInfo | false;
}

/** A Hono app that knows its contracts: `createClient<typeof app>()`. */
export interface App<P extends AnyProcedure = AnyProcedure, W extends AnyWorkflow = AnyWorkflow> extends Hono {
  /** For types alone. */
  readonly "~contracts"?: { readonly procedures: P; readonly workflows: W };
}

/**
 * Procedures at their own routes and at POST /rpc/{name}; runs at /workflows/{name}/runs; webhooks at their paths;
 * POST /events/{name} where `publishOverHttp`; GET /openapi.json, /docs, /healthz and /readyz; with
 * NODE_ENV=development GET /_tsdev/registry. Throws `duplicate_name` naming both, and `invalid_config`.
 *
 * @example
 * const app = createApp({ procedures: [validateOrder], workflows: [orderProcessing], engine });
 * app.get("/orders/:id", async (c) => c.json(await loadOrder(c.req.param("id"))));
 */
export function createApp<const P extends readonly AnyProcedure[] = [], const W extends readonly AnyWorkflow[] = []>(
  options: AppOptions<P, W> = {},
): App<P[number], W[number]> {
  const registry = options.registry ?? registryOf(options);
  // Without a registry only what is listed is served, and not what the workflows use of it.
  const procedures = options.registry ? registry.procedures : byName("procedures", options.procedures ?? []);
  const workflows = options.registry ? registry.workflows : byName("workflows", options.workflows ?? []);
  const {
    runs = options.authenticate ? "starter" : "open",
    control = "starter",
    maxBodyBytes: maxBytes = 1024 * 1024,
  } = options;
  let engine: Promise<Engine> | undefined = options.engine && Promise.resolve(options.engine);
  const app = new Hono();
  const log = createLog({ component: "tsdev-http" });
  const state = {
    registry,
    engine: () => (engine ??= openEngine()),
    draining: false,
    stopping: new AbortController(),
  };
  setState(app, state);

  app.use("*", nameRoute, ...(options.middleware ?? []));
  app.onError((error) => {
    if (error instanceof HTTPException) return error.getResponse();
    if (!TsdevError.is(error) && !DeclaredError.is(error)) log.error(error.message, { error });
    return toResponse(error);
  });
  app.notFound((c) => noRoute(app, c));

  const gate = gateOf(options.authenticate);
  const { rpc = true } = options;
  const called = [...procedures.values()].filter((one) => (typeof rpc === "function" ? rpc(one) : rpc));
  mountRpc(app, called, { gate, maxBytes });
  mountRest(app, procedures.values(), { gate, maxBytes });
  const ofRuns = runGate(gate, { runs, control });
  mountWorkflows(app, { workflows, state, gate: ofRuns, maxBytes, log });
  if (options.publishOverHttp) mountEvents(app, registry.events, { state, gate: ofRuns, maxBytes });
  mountWebhooks(app, registry, procedures.values(), state.engine);
  if (options.openapi !== false) {
    const described = {
      procedures: [...procedures.values()],
      rpc: new Set(called),
      workflows: [...workflows.values()],
      events: options.publishOverHttp ? [...registry.events.values()] : [],
      triggers: [...registry.triggers.values()],
      authenticates: options.authenticate !== undefined,
      runs,
      control,
      info: options.openapi ?? {},
    };
    mountDocs(app, described);
  }
  if (process.env.NODE_ENV === "development") app.route("/", introspectionRoutes(registry));

  app.get("/healthz", (c) => c.json({ ok: true }));
  app.get("/readyz", async (c) => {
    if (stateOf(app)!.draining) return c.json({ ready: false, reason: "stopping" }, 503);
    if (engine) await (await engine).check();
    return c.json({ ready: true });
  });
  return app as App<P[number], W[number]>;
}

function registryOf({ procedures = [], workflows = [], triggers = [], events = [] }: AppOptions): Registry {
  // Two of one list are said in the words of the list; what they use is looked at after them.
  byName("procedures", procedures);
  byName("workflows", workflows);
  return createRegistry([...procedures, ...workflows, ...triggers, ...events]);
}

function mountWebhooks(
  app: Hono,
  { triggers }: Registry,
  procedures: Iterable<AnyProcedure>,
  engine: () => Promise<Engine>,
): void {
  const routes = new Map(restRoutes(procedures).map(({ procedure, route }) => [keyOf(route), procedure]));
  const byPath = new Map<string, string>();
  for (const trigger of triggers.values()) {
    if (trigger.on !== "webhook") continue;
    const there = byPath.get(trigger.path);
    if (there !== undefined) {
      throw new TsdevError("duplicate_name", {
        message: `webhooks "${there}" and "${trigger.name}" have the same path ${trigger.path}`,
        fix: "give one of them another path",
      });
    }
    // Whoever is mounted first would answer, and the other one would never be reached.
    const procedure = routes.get(keyOf({ method: "POST", path: trigger.path }));
    if (procedure || ownPaths.test(trigger.path)) {
      const other = procedure ? `procedure "${procedure.name}" has too` : "createApp uses itself";
      throw new TsdevError("duplicate_name", {
        message: `webhook "${trigger.name}" has the path ${trigger.path}, which ${other}`,
        fix: "give it another path",
        path: "path",
      });
    }
    byPath.set(trigger.path, trigger.name);
    const hide = hidePartsOf(trigger.payload);
    app.post(trigger.path, async (c) => {
      hide?.(c);
      return handleWebhook(trigger, await engine(), c.req.raw);
    });
  }
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
