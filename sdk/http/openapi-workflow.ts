// OpenAPI of workflows, events and webhooks.
import type { z } from "zod";
import type { AnyTrigger } from "../triggers/trigger.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";
import type { AnyEvent } from "../workflows/event.ts";
import type { JsonSchema, Schemas } from "./json-schema.ts";
import { eventSchema, type PathItem, problems, summaryOf } from "./openapi-procedure.ts";
import { runContracts, states } from "./workflow-routes.ts";

interface Security {
  runs: JsonSchema[];
  control: JsonSchema[];
}

const text = { type: "string" };
const time = { type: "string", format: "date-time" };
const statusSchema: JsonSchema = {
  type: "object",
  description: "How a run stands",
  required: ["runId", "workflow", "version", "state", "startedAt", "finishedAt", "finishedSteps"],
  properties: {
    runId: text,
    workflow: text,
    version: text,
    state: { enum: states },
    origin: { type: "object" },
    startedBy: text,
    startedAt: time,
    finishedAt: { type: ["string", "null"], format: "date-time" },
    finishedSteps: { type: "array", items: text },
    waits: { type: "array", items: { type: "object" } },
    output: {},
    error: { type: "object" },
  },
};

export function workflowPaths(workflow: AnyWorkflow, schemas: Schemas, security: Security): Record<string, PathItem> {
  schemas.components.RunStatus ??= statusSchema;
  const { name } = workflow;
  const base = `/workflows/${encodeURIComponent(name)}/runs`;
  const operation = (verb: string, summary: string, kind: keyof Security, more: JsonSchema): JsonSchema => ({
    operationId: `${name}.${verb}`,
    summary,
    tags: [`workflow ${name}`],
    security: security[kind],
    ...more,
  });
  const id = { name: "id", in: "path", required: true, description: "The run", schema: text };
  const body = (contract: z.ZodType, required = false) => ({
    requestBody: { required, content: { "application/json": { schema: schemas.of(contract, "input") } } },
  });
  const answer = (status: number, description: string, schema: JsonSchema, more: JsonSchema = {}) => ({
    responses: { [status]: { description, content: { "application/json": { schema } } }, ...more, ...problems() },
  });
  const accepted = (more: JsonSchema = {}) =>
    answer(202, "Accepted", { type: "object", required: ["runId"], properties: { runId: text, ...more } });
  const control = (verb: string, summary: string, contract?: z.ZodType, more: JsonSchema = {}): PathItem => ({
    post: operation(verb, summary, "control", {
      parameters: [id],
      ...(contract ? body(contract) : {}),
      ...accepted(more),
    }),
  });
  const begun = {
    type: "object",
    required: ["runId", "state"],
    properties: { runId: text, state: { enum: states }, output: {} },
  };
  const listed = schemas.of(runContracts.list, "output").properties as Record<string, JsonSchema>;
  const begin = schemas.of(runContracts.start, "output").properties as Record<string, JsonSchema>;
  const needsInput = !isOptional(workflow.input);
  return {
    [base]: {
      post: operation("start", `Run ${name}`, "runs", {
        description: "Waits for the end of the run, unless `wait` is false. The same runId twice is the same run.",
        parameters: [
          { name: "runId", in: "query", description: "Names the run", schema: begin.runId },
          { name: "wait", in: "query", description: "False answers at once", schema: begin.wait },
        ],
        ...body(workflow.input, needsInput),
        ...answer(200, "The run is done", begun, {
          "202": { description: "The run is begun", content: { "application/json": { schema: begun } } },
        }),
      }),
      get: operation("list", `List runs of ${name}`, "runs", {
        parameters: Object.entries(listed).map(([key, schema]) => ({ name: key, in: "query", schema })),
        ...answer(200, "The newest first", {
          type: "object",
          required: ["runs"],
          properties: { runs: { type: "array", items: { $ref: "#/components/schemas/RunStatus" } } },
        }),
      }),
    },
    [`${base}/{id}`]: {
      get: operation("get", `Look at a run of ${name}`, "runs", {
        parameters: [id],
        ...answer(200, "How it stands", { $ref: "#/components/schemas/RunStatus" }),
      }),
    },
    [`${base}/{id}/events`]: {
      get: operation("events", `Follow a run of ${name}`, "runs", {
        description: "Server-sent events; each carries its number as id, and Last-Event-ID goes on after it.",
        parameters: [
          id,
          {
            name: "after",
            in: "query",
            description: "As Last-Event-ID",
            schema: { type: "integer", minimum: 0, maximum: 999_999_999_999_999 },
          },
        ],
        responses: {
          "200": {
            description: "Events until the run's end",
            content: { "text/event-stream": { schema: eventSchema } },
          },
          "204": { description: "The run has ended, and the client has all its events" },
          ...problems(),
        },
      }),
    },
    [`${base}/{id}/cancel`]: control("cancel", `Cancel a run of ${name}`, runContracts.cancel, {
      canceled: { type: "boolean" },
    }),
    [`${base}/{id}/pause`]: control("pause", `Pause a run of ${name}`),
    [`${base}/{id}/resume`]: control("resume", `Resume a run of ${name}`),
    [`${base}/{id}/retry`]: control("retry", `Retry a run of ${name}`, runContracts.retry),
    [`${base}/{id}/rerun`]: control("rerun", `Run ${name} again with the input of a run`, runContracts.rerun),
    ...approvalPaths(workflow, base, (more) => operation("approve", `Answer an approval of ${name}`, "control", more), {
      id,
      body: body(runContracts.approval, true),
      accepted: accepted({ approved: { type: "boolean" }, by: text }),
    }),
  };
}

function approvalPaths(
  workflow: AnyWorkflow,
  base: string,
  operation: (more: JsonSchema) => JsonSchema,
  parts: { id: JsonSchema; body: JsonSchema; accepted: JsonSchema },
): Record<string, PathItem> {
  if (!JSON.stringify(workflow.ir).includes('"op":"approve"')) return {};
  const node = { name: "node", in: "path", required: true, description: "The path of the node", schema: text };
  return {
    [`${base}/{id}/approvals/{node}`]: {
      post: operation({ parameters: [parts.id, node], ...parts.body, ...parts.accepted }),
    },
  };
}

export function eventPaths(event: AnyEvent, schemas: Schemas, security: JsonSchema[]): Record<string, PathItem> {
  return {
    [`/events/${encodeURIComponent(event.name)}`]: {
      post: {
        operationId: `events.${event.name}`,
        summary: `Publish ${event.name}`,
        tags: ["events"],
        security,
        parameters: [{ name: "id", in: "query", description: "The same id twice is one event", schema: text }],
        requestBody: {
          required: !isOptional(event.payload),
          content: { "application/json": { schema: schemas.of(event.payload, "input") } },
        },
        responses: {
          "202": {
            description: "Published",
            content: {
              "application/json": { schema: { type: "object", required: ["id"], properties: { id: text } } },
            },
          },
          ...problems(),
        },
      },
    },
  };
}

/** They are sent by services that hold a secret, and so stand beside the paths and not among them. */
export function webhookItems(triggers: readonly AnyTrigger[], schemas: Schemas): Record<string, PathItem> {
  const items: Record<string, PathItem> = {};
  for (const trigger of triggers) {
    if (trigger.on !== "webhook") continue;
    const begun = { type: "object", required: ["runId"], properties: { runId: text } };
    const content = { "application/json": { schema: begun } };
    items[trigger.name] = {
      post: {
        operationId: `webhooks.${trigger.name}`,
        summary: summaryOf(trigger.name),
        description: `Sent to \`POST ${trigger.path}\`; starts workflow \`${trigger.workflow.name}\`. A delivery counts once.`,
        tags: ["webhooks"],
        requestBody: {
          required: true,
          content: { "application/json": { schema: schemas.of(trigger.payload, "input") } },
        },
        responses: {
          "200": { description: "It began a run before", content },
          "202": { description: "It began a run", content },
          "204": { description: "It leads to no run" },
          ...problems(),
        },
        security: [],
      },
    };
  }
  return items;
}

function isOptional(schema: z.ZodType): boolean {
  try {
    return schema.safeParse({}).success;
  } catch {
    return false;
  }
}
