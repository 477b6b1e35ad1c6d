// Operations on identity: who am I, a one-time link for the dashboard, the audit log.
import type { Kysely } from "kysely";
import { z } from "zod";
import { type Operation, operation, roles } from "../../sdk/operation.ts";
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
      access: { role: "viewer", effect: "write", idempotent: false },
      handler: async (_input, { principal }) => ({
        url: `${parts.dashboardUrl()}/login?code=${await parts.identity.createLoginCode(principal)}`,
      }),
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
