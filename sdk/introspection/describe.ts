// Describe: everything that an app declares, as JSON: for people, assistants and whoever composes workflows.

import { nodesOf, type WorkflowIr } from "../ir/ir.ts";
import type { Effects, HttpRoute } from "../procedures/procedure.ts";
import type { Registry } from "../registry.ts";
import { shortPath } from "../registry.ts";
import type { SourceLocation } from "../source-location.ts";
import { type JsonSchema, jsonSchemaOf } from "./json-schema.ts";
import { type NodeKeys, nodeKeys } from "./node-keys.ts";

export interface ProcedureDescription {
  name: string;
  summary: string | null;
  input: JsonSchema;
  output: JsonSchema;
  /** By name, with what each carries. */
  errors: Record<string, { status: number; data: JsonSchema | null }>;
  /** Null: undeclared, so anything may be read and written. */
  effects: Effects | null;
  /** Null: undeclared. */
  idempotent: boolean | null;
  /** Numbers as they were declared; keys that functions make are left out. */
  policies: Record<string, unknown>;
  http: HttpRoute | null;
  /** `src/orders.ts:12` */
  source: string | null;
}

export interface WorkflowDescription {
  name: string;
  version: string;
  input: JsonSchema;
  ir: WorkflowIr;
  /** By node id. */
  nodes: Record<string, NodeKeys & { source: string | null }>;
  /** Names of the triggers that start it. */
  triggers: string[];
  source: string | null;
}

export interface RegistryDescription {
  procedures: ProcedureDescription[];
  workflows: WorkflowDescription[];
  events: { name: string; payload: JsonSchema; keyed: boolean; source: string | null }[];
  triggers: Record<string, unknown>[];
}

/** The same registry gives the same JSON. Functions are never in it, nor what they hold. */
export function describe(registry: Registry): RegistryDescription {
  return {
    procedures: [...registry.procedures.values()].map((one) => ({
      name: one.name,
      summary: one.summary ?? null,
      input: jsonSchemaOf(one.input, "input"),
      output: jsonSchemaOf(one.output, "output"),
      errors: Object.fromEntries(
        Object.entries(one.errors as Record<string, { status: number; data?: never }>).map(
          ([name, { status, data }]) => [
            name,
            { status, data: data === undefined ? null : jsonSchemaOf(data, "output") },
          ],
        ),
      ),
      effects: one.effects ?? null,
      idempotent: one.idempotent ?? null,
      policies: plain(one.policies) as Record<string, unknown>,
      http: one.http ?? null,
      source: placeOf(one.source),
    })),
    workflows: [...registry.workflows.values()].map((one) => ({
      name: one.name,
      version: one.version,
      input: jsonSchemaOf(one.input, "input"),
      ir: one.ir,
      nodes: Object.fromEntries(
        nodesOf(one.ir).map((node) => [
          node.id,
          { ...nodeKeys(one, node), source: placeOf(one.code.get(node.id)?.source) },
        ]),
      ),
      triggers: [...registry.triggers.values()]
        .filter(({ workflow }) => workflow.name === one.name)
        .map(({ name }) => name),
      source: placeOf(one.source),
    })),
    events: [...registry.events.values()].map(({ name, payload, key, source }) => ({
      name,
      payload: jsonSchemaOf(payload, "input"),
      keyed: key !== undefined,
      source: placeOf(source),
    })),
    triggers: [...registry.triggers.values()].map((one) => ({
      name: one.name,
      on: one.on,
      workflow: one.workflow.name,
      ...(one.on === "cron" ? { schedule: one.schedule, timeZone: one.timeZone, missed: one.missed } : {}),
      ...(one.on === "webhook" ? { path: one.path, payload: jsonSchemaOf(one.payload, "input") } : {}),
      ...(one.on === "queue" ? { message: jsonSchemaOf(one.message, "input") } : {}),
      ...(one.on === "event" ? { event: one.event.name } : {}),
      source: placeOf(one.source),
    })),
  };
}

/** What JSON can hold of a value; functions are left out. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value) ?? "null");
}

function placeOf(source: SourceLocation | undefined): string | null {
  return source ? `${shortPath(source.file, process.cwd())}:${source.line}` : null;
}
