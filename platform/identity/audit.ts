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
  /** `started` stays where the control plane was killed before the end, or is still at it. */
  outcome: "started" | "done" | "failed";
  errorCode: ErrorCode | null;
}

/** Keeps an entry; the function it answers with says how what was started ended. */
export type Audit = (entry: AuditEntry) => Promise<EndAudit>;
export type EndAudit = (outcome: "done" | "failed", errorCode: ErrorCode | null) => Promise<void>;

/** An audit log in the store. */
export function storeAudit(db: Kysely<DatabaseSchema>): Audit {
  return async ({ principal, operation, face, input, outcome, errorCode }) => {
    const { id } = await db
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
      .returning("id")
      .executeTakeFirstOrThrow();
    return async (ended, code) => {
      await db.updateTable("audit_log").set({ outcome: ended, error_code: code }).where("id", "=", id).execute();
    };
  };
}
