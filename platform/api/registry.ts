// The operation registry: the one place where a call is authorized, checked against its contract and audited.
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import {
  type Face,
  type Operation,
  type OperationContext,
  type Principal,
  type Progress,
  roles,
} from "../../sdk/operation.ts";
import type { Audit, AuditEntry, EndAudit } from "../identity/audit.ts";
import type { Redactor } from "../secrets/redactor.ts";
import { diskError } from "../store/private-file.ts";

export interface CallOptions {
  principal: Principal;
  face: Face;
  signal?: AbortSignal;
  progress?: (event: Progress) => void;
}

/** Holds every operation by its name; faces call through it and hold no logic of their own. */
export class OperationRegistry {
  readonly #operations = new Map<string, Operation>();
  readonly #audit: Audit;
  readonly #redactor: Redactor;

  constructor(parts: { operations: Operation[]; audit: Audit; redactor: Redactor }) {
    this.#audit = parts.audit;
    this.#redactor = parts.redactor;
    for (const operation of parts.operations) {
      if (this.#operations.has(operation.name)) {
        throw new TsdevError("duplicate_name", {
          message: `two operations are named ${operation.name}`,
          fix: "rename one of them",
        });
      }
      this.#operations.set(operation.name, operation);
    }
  }

  list(): Operation[] {
    return [...this.#operations.values()];
  }

  /** The operation; throws `not_found` naming the nearest when there is none. */
  get(name: string): Operation {
    const operation = this.#operations.get(name);
    if (operation) return operation;
    const noun = name.split(".")[0];
    const near = this.list().filter((one) => one.name.startsWith(`${noun}.`));
    throw new TsdevError("not_found", {
      message: `there is no operation ${name}`,
      fix:
        near.length > 0
          ? `use one of ${near.map((one) => one.name).join(", ")}`
          : "see /api/v1/openapi.json for all of them",
    });
  }

  /** Calls an operation that answers once. Throws TsdevErrors only; no known secret is in the answer or in the error. */
  async call(name: string, input: unknown, options: CallOptions): Promise<unknown> {
    const operation = this.get(name);
    if (operation.kind !== "call") {
      throw new TsdevError("invalid_input", { message: `${name} is a stream`, fix: "ask for it as a stream (SSE)" });
    }
    return this.#audited(operation, input, options, async ({ parsed, context }) => {
      const checked = operation.output.safeParse(await operation.handler(parsed, context));
      if (!checked.success) throw outputError(name, checked.error);
      return this.#answer(operation, checked.data);
    });
  }

  /** Calls a stream operation; the iteration ends when the caller's signal aborts. */
  async *stream(name: string, input: unknown, options: CallOptions): AsyncGenerator<unknown> {
    const operation = this.get(name);
    if (operation.kind !== "stream") {
      yield await this.call(name, input, options);
      return;
    }
    try {
      const { parsed, context } = await this.#admit(operation, input, options);
      for await (const value of operation.handler(parsed, context)) {
        const checked = operation.output.safeParse(value);
        if (!checked.success) throw outputError(name, checked.error);
        yield this.#redactor.redactDeep(checked.data);
      }
    } catch (thrown) {
      throw this.#clean(diskError(thrown));
    }
  }

  /** Throws what `call` or `stream` would throw before the handler runs: a face can refuse before it begins its answer. */
  async check(name: string, input: unknown, options: CallOptions): Promise<void> {
    await this.#admit(this.get(name), input, options);
  }

  /** Runs the work of an operation; a write is in the audit log before it begins, and its end is noted. */
  async #audited<T>(
    operation: Operation,
    input: unknown,
    options: CallOptions,
    work: (admitted: { parsed: object; context: OperationContext }) => Promise<T>,
  ): Promise<T> {
    let end: EndAudit = async () => undefined;
    try {
      const admitted = await this.#admit(operation, input, options);
      if (operation.access.effect !== "read") {
        end = await this.#audit(this.#entry(operation, admitted.parsed, options, "started", null));
      }
      const result = await work(admitted);
      await end("done", null);
      return result;
    } catch (thrown) {
      const error = this.#clean(diskError(thrown));
      // what went wrong is worth more to the caller than that it could not be noted
      await end("failed", error.code).catch((failure) => console.error("audit log:", failure));
      throw error;
    }
  }

  async #admit(
    operation: Operation,
    input: unknown,
    options: CallOptions,
  ): Promise<{ parsed: object; context: OperationContext }> {
    const { principal } = options;
    if (roles.indexOf(principal.role) < roles.indexOf(operation.access.role)) {
      if (operation.access.effect !== "read") {
        await this.#audit(this.#entry(operation, null, options, "failed", "forbidden"));
      }
      throw new TsdevError("forbidden", {
        message: `${operation.name} needs the role ${operation.access.role}, ${principal.name} has ${principal.role}`,
        fix: "use a token of a member with that role",
      });
    }
    const checked = operation.input.safeParse(input ?? {});
    if (!checked.success) throw inputError(operation.name, checked.error);
    const progress = options.progress;
    const context: OperationContext = {
      principal,
      face: options.face,
      signal: options.signal ?? new AbortController().signal,
      progress: (event) => progress?.(this.#redactor.redactDeep(event)),
    };
    return { parsed: checked.data, context };
  }

  /** An output without secrets, but for those that it was asked for. */
  #answer(operation: Operation, output: unknown): unknown {
    const clean = this.#redactor.redactDeep(output);
    if (!operation.secretOutput) return clean;
    const given = output as Record<string, unknown>;
    return { ...(clean as object), ...Object.fromEntries(operation.secretOutput.map((key) => [key, given[key]])) };
  }

  #entry(
    operation: Operation,
    input: object | null,
    { principal, face }: CallOptions,
    outcome: AuditEntry["outcome"],
    errorCode: AuditEntry["errorCode"],
  ): AuditEntry {
    const kept = input && (this.#redactor.redactDeep(withoutSensitive(operation.input, input)) as object);
    return { principal, operation: operation.name, face, input: kept, outcome, errorCode };
  }

  #clean(error: TsdevError): TsdevError {
    const shape = error.toJSON();
    const clean = this.#redactor.redactDeep(shape);
    return JSON.stringify(clean) === JSON.stringify(shape) ? error : new TsdevError(error.code, clean);
  }
}

/** The input without the fields, at any depth, whose contract is marked `.meta({ sensitive: true })`. */
function withoutSensitive(contract: z.ZodType, value: unknown): unknown {
  let inner = contract;
  while (inner.meta()?.sensitive !== true && wraps(inner)) inner = inner.unwrap() as z.ZodType;
  if (inner.meta()?.sensitive === true) return value === undefined ? undefined : "[redacted]";
  if (inner instanceof z.ZodArray && Array.isArray(value)) {
    return value.map((item) => withoutSensitive(inner.element as z.ZodType, item));
  }
  if (!(inner instanceof z.ZodObject) || typeof value !== "object" || value === null) return value;
  const shape = inner.shape as Record<string, z.ZodType | undefined>;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, shape[key] ? withoutSensitive(shape[key], part) : part]),
  );
}

const wraps = (contract: z.ZodType) =>
  contract instanceof z.ZodOptional ||
  contract instanceof z.ZodNullable ||
  contract instanceof z.ZodDefault ||
  contract instanceof z.ZodPrefault;

function inputError(name: string, error: z.ZodError): TsdevError {
  const issue = error.issues[0];
  const path = issue?.path.map(String).join(".") || undefined;
  // of a key that is not allowed in a record, the reason stands one level down
  const reason = (issue?.code === "invalid_key" ? issue.issues[0]?.message : undefined) ?? issue?.message;
  const message = path ? `${path}: ${reason}` : (reason ?? "the input does not fit");
  return new TsdevError("invalid_input", {
    message: `${name}: ${message}`,
    fix: "see the input's schema in /api/v1/openapi.json",
    path,
    cause: error,
  });
}

function outputError(name: string, error: z.ZodError): TsdevError {
  return new TsdevError("invalid_output", {
    message: `${name} answered what its contract does not allow at ${error.issues[0]?.path.join(".")}: ${error.issues[0]?.message}`,
    fix: "report this; the operation itself may have been done",
    cause: error,
  });
}
