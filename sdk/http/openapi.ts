// OpenAPI 3.1 of an app, from the contracts of what it serves.
import type { AnyProcedure } from "../procedures/procedure.ts";
import type { AnyTrigger } from "../triggers/trigger.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import { type JsonSchema, Schemas } from "./json-schema.ts";
import { operationOf, type PathItem, problemResponses } from "./openapi-procedure.ts";
import { eventPaths, webhookItems, workflowPaths } from "./openapi-workflow.ts";
import { restRoutes } from "./procedure-routes.ts";
import type { RunAccess } from "./run-gate.ts";

/** What the document says of the app as a whole. */
export interface ApiInfo {
  /** Default: "API". */
  title?: string;
  /** Default: "0.0.0". */
  version?: string;
  description?: string;
  license?: { name: string; identifier?: string; url?: string };
  contact?: { name?: string; url?: string; email?: string };
  /** Default: the origin that the document was asked of. */
  servers?: readonly { url: string; description?: string }[];
  tags?: readonly { name: string; description?: string }[];
  /** How callers say who they are; what `authenticate` reads. Default: a bearer token. */
  securityScheme?: JsonSchema;
}

/** What is described. */
export interface Described {
  procedures: readonly AnyProcedure[];
  rpc: ReadonlySet<AnyProcedure>;
  workflows: readonly AnyWorkflow[];
  events: readonly AnyEvent[];
  triggers: readonly AnyTrigger[];
  authenticates: boolean;
  runs: RunAccess;
  control: RunAccess;
  info: ApiInfo;
}

export function openApiDocument(app: Described): JsonSchema {
  const { info } = app;
  const schemas = new Schemas();
  const paths: Record<string, PathItem> = {};
  const security = (access: RunAccess | boolean) => {
    if (access === true || (access !== false && access !== "open")) return [{ caller: [] }];
    // Who is known is told to the handler, and who is not is let in.
    return app.authenticates ? [{}, { caller: [] }] : [];
  };
  const routed = new Map(restRoutes(app.procedures).map(({ procedure, route }) => [procedure, route]));
  for (const procedure of app.procedures) {
    const route = routed.get(procedure);
    if (!route && !app.rpc.has(procedure)) continue;
    const path = route
      ? route.path.replace(/:(\w+)(\{[^/]*\})?\??/g, "{$1}")
      : `/rpc/${encodeURIComponent(procedure.name)}`;
    paths[path] ??= {};
    paths[path][(route?.method ?? "POST").toLowerCase()] = {
      ...operationOf(procedure, route, schemas),
      security: security(procedure.policies.auth !== undefined),
    };
  }
  for (const workflow of app.workflows) {
    Object.assign(
      paths,
      workflowPaths(workflow, schemas, { runs: security(app.runs), control: security(app.control) }),
    );
  }
  for (const event of app.events) Object.assign(paths, eventPaths(event, schemas, security(app.control)));
  const webhooks = webhookItems(app.triggers, schemas);
  const used = JSON.stringify([paths, webhooks]);
  const tags = new Set([...used.matchAll(/"tags":\["([^"]+)"\]/g)].map((match) => match[1]!));
  const known = new Map((info.tags ?? []).map((tag) => [tag.name, tag]));
  return {
    openapi: "3.1.0",
    info: {
      title: info.title ?? "API",
      version: info.version ?? "0.0.0",
      ...(info.description === undefined ? {} : { description: info.description }),
      ...(info.contact ? { contact: info.contact } : {}),
      ...(info.license ? { license: info.license } : {}),
    },
    servers: info.servers ?? [{ url: "/" }],
    security: [],
    tags: [...tags].sort().map((name) => known.get(name) ?? { name, description: descriptionOf(name) }),
    paths,
    ...(Object.keys(webhooks).length === 0 ? {} : { webhooks }),
    components: {
      schemas: { ...schemas.components, Problem: problemSchema },
      responses: problemResponses,
      ...(used.includes('"caller":[]')
        ? { securitySchemes: { caller: info.securityScheme ?? { type: "http", scheme: "bearer" } } }
        : {}),
    },
  };
}

function descriptionOf(tag: string): string {
  if (tag === "webhooks") return "Requests of other services";
  if (tag === "events") return "Events that runs wait for or begin by";
  return tag.startsWith("workflow ") ? `Runs of the ${tag}` : `Procedures of ${tag}`;
}

const text = { type: "string" };

/** RFC 9457, with what tsdev adds. */
const problemSchema: JsonSchema = {
  type: "object",
  description: "An error (RFC 9457)",
  required: ["type", "title", "status", "detail", "code", "message", "fix"],
  properties: {
    type: { ...text, description: "A URN for the code" },
    title: text,
    status: { type: "integer" },
    detail: text,
    instance: { ...text, description: "The trace of the request" },
    code: { ...text, description: "What programs tell it by" },
    message: { ...text, description: "What was wrong" },
    fix: { ...text, description: "What to do" },
    path: { ...text, description: "The place in the input" },
    errors: {
      type: "array",
      description: "All that is wrong with the input",
      items: { type: "object", required: ["path", "message"], properties: { path: text, message: text } },
    },
    data: { description: "What a declared error carries" },
    retryAfterMs: { type: "number" },
    runId: text,
  },
};
