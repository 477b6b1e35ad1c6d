// Audit log: every write with who, what, from where and through which face.
import type { Kysely } from "kysely";
import type { ErrorCode } from "../../sdk/errors.ts";
import type { Face, Principal } from "../../sdk/operation.ts";
import type { DatabaseSchema } from "../store/schema.ts";

export interface AuditEntry {
  principal: Principal;
  operation: string;
  face: Face;
  /** Already without secrets. */
  input: object | null;
  outcome: "done" | "failed";
  errorCode: ErrorCode | null;
}

export type Audit = (entry: AuditEntry) => Promise<void>;

/** An audit log in the store. */
export function storeAudit(db: Kysely<DatabaseSchema>): Audit {
  return async ({ principal, operation, face, input, outcome, errorCode }) => {
    await db
      .insertInto("audit_log")
      .values({
        organization_id: principal.organizationId,
        principal_id: principal.id,
        principal_name: principal.name,
        operation,
        face,
        input: input === null ? null : JSON.stringify(input),
        outcome,
        error_code: errorCode,
      })
      .execute();
  };
}
