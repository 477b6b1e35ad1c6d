// Operations on identity: who am I, a one-time link for the dashboard, a token for telemetry, the audit log.
import type { Kysely } from "kysely";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import { type Operation, operation, roles } from "../../sdk/operation.ts";
import { EnvironmentRef } from "../projects/project.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import type { Identity } from "./identity.ts";

export function identityOperations(parts: {
  db: Kysely<DatabaseSchema>;
  identity: Identity;
  dashboardUrl: () => string;
}): Operation[] {
  return [
    operation({
      name: "identity.whoami",
      summary: "Show who the token belongs to",
      input: z.object({}),
      output: z.object({ name: z.string(), organization: z.string(), role: z.enum(roles) }),
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async (_input, { principal }) => ({
        name: principal.name,
        organization: principal.organizationId,
        role: principal.role,
      }),
    }),
    operation({
      name: "identity.login",
      summary: "Make a link that opens the dashboard once, within ten minutes",
      input: z.object({}),
      output: z.object({ url: z.string() }),
      secretOutput: ["url"],
      access: { role: "viewer", effect: "write", idempotent: false },
      handler: async (_input, { principal }) => ({
        url: `${parts.dashboardUrl()}/login?code=${await parts.identity.createLoginCode(principal)}`,
      }),
    }),
    operation({
      name: "identity.ingestToken",
      summary:
        "Make the token with which an app outside the platform sends telemetry of one environment, and nothing else",
      input: EnvironmentRef,
      output: z.object({ token: z.string() }),
      secretOutput: ["token"],
      access: { role: "developer", effect: "write", idempotent: true },
      handler: async ({ project, environment }, { principal }) => {
        const known = await parts.db
          .selectFrom("environments")
          .innerJoin("projects", "projects.id", "environments.project_id")
          .select("environments.id")
          .where("projects.organization_id", "=", principal.organizationId)
          .where("projects.name", "=", project)
          .where("environments.name", "=", environment)
          .executeTakeFirst();
        if (!known) {
          throw new TsdevError("not_found", {
            message: `there is no environment ${environment} of a project ${project}`,
            fix: "see `projects.list` for what there is",
            path: "project",
          });
        }
        const scope = { organizationId: principal.organizationId, project, environment };
        return { token: parts.identity.ingestToken(scope) };
      },
    }),
    operation({
      name: "audit.list",
      summary: "List who changed what, newest first",
      input: z.object({ limit: z.int().min(1).max(500).default(50) }),
      output: z.object({
        entries: z.array(
          z.object({
            at: z.iso.datetime(),
            principal: z.string(),
            operation: z.string(),
            face: z.string(),
            input: z.unknown(),
            outcome: z.string(),
            error: z.string().nullable(),
          }),
        ),
      }),
      access: { role: "owner", effect: "read", idempotent: true },
      handler: async ({ limit }, { principal }) => {
        const rows = await parts.db
          .selectFrom("audit_log")
          .selectAll()
          .where("organization_id", "=", principal.organizationId)
          .orderBy("id", "desc")
          .limit(limit)
          .execute();
        return {
          entries: rows.map((row) => ({
            at: row.at.toISOString(),
            principal: row.principal_name,
            operation: row.operation,
            face: row.face,
            input: row.input,
            outcome: row.outcome,
            error: row.error_code,
          })),
        };
      },
    }),
  ];
}
