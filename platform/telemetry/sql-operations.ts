// The operation for questions in SQL over an environment's own telemetry.
import { z } from "zod";
import { type Operation, operation } from "../../sdk/operation.ts";
import { EnvironmentRef } from "../projects/project.ts";
import { sqlRowLimit, type TenantSql } from "./query/tenant-sql.ts";

export interface SqlOperationParts {
  sql: Pick<TenantSql, "run">;
  /** Throws `not_found` where the organization has no such environment. */
  projects: { environment(organizationId: string, project: string, environment: string): Promise<unknown> };
}

export function sqlOperations({ sql, projects }: SqlOperationParts): Operation[] {
  return [
    operation({
      name: "sql.query",
      summary: "Ask the telemetry of an environment in SQL: one SELECT over otel_traces, otel_logs and otel_metrics_*",
      input: EnvironmentRef.extend({
        sql: z
          .string()
          .min(1)
          .max(8_000)
          .meta({ description: "one SELECT in ClickHouse's dialect; it sees only this environment" }),
      }),
      output: z.object({
        rows: z.array(z.record(z.string(), z.unknown())),
        truncated: z.boolean().meta({ description: `there were more than ${sqlRowLimit} rows` }),
      }),
      access: { role: "viewer", effect: "read", idempotent: true },
      async handler(input, { principal: { organizationId } }) {
        await projects.environment(organizationId, input.project, input.environment);
        const { project, environment } = input;
        return sql.run({ organizationId, project, environment }, input.sql);
      },
    }),
  ];
}
