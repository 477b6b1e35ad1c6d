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
import type { Audit } from "../identity/audit.ts";
import type { Redactor } from "../secrets/redactor.ts";

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

  /** Calls an operation that answers once. Throws TsdevErrors only. */
  async call(name: string, input: unknown, options: CallOptions): Promise<unknown> {
    const operation = this.get(name);
    if (operation.kind !== "call") {
      throw new TsdevError("invalid_input", { message: `${name} is a stream`, fix: "ask for it as a stream (SSE)" });
    }
    const { parsed, context } = this.#admit(operation, input, options);
    try {
      const output = await operation.handler(parsed, context);
      const checked = operation.output.safeParse(output);
      if (!checked.success) throw outputError(name, checked.error);
      await this.#record(operation, parsed, options, null);
      return checked.data;
    } catch (thrown) {
      const error = TsdevError.from(thrown);
      await this.#record(operation, parsed, options, error);
      throw this.#clean(error);
    }
  }

  /** Calls a stream operation; the iteration ends when the caller's signal aborts. */
  async *stream(name: string, input: unknown, options: CallOptions): AsyncGenerator<unknown> {
    const operation = this.get(name);
    if (operation.kind !== "stream") {
      yield await this.call(name, input, options);
      return;
    }
    const { parsed, context } = this.#admit(operation, input, options);
    try {
      for await (const value of operation.handler(parsed, context)) yield operation.output.parse(value);
    } catch (thrown) {
      throw this.#clean(TsdevError.from(thrown));
    }
  }

  #admit(operation: Operation, input: unknown, options: CallOptions): { parsed: object; context: OperationContext } {
    const { principal } = options;
    if (roles.indexOf(principal.role) < roles.indexOf(operation.access.role)) {
      throw new TsdevError("forbidden", {
        message: `${operation.name} needs the role ${operation.access.role}, ${principal.name} has ${principal.role}`,
        fix: "use a token of a member with that role",
      });
    }
    const checked = operation.input.safeParse(input ?? {});
    if (!checked.success) throw inputError(operation.name, checked.error);
    const context: OperationContext = {
      principal,
      face: options.face,
      signal: options.signal ?? new AbortController().signal,
      progress: options.progress ?? (() => undefined),
    };
    return { parsed: checked.data, context };
  }

  async #record(operation: Operation, input: object, options: CallOptions, error: TsdevError | null): Promise<void> {
    if (operation.access.effect === "read") return;
    await this.#audit({
      principal: options.principal,
      operation: operation.name,
      face: options.face,
      input: withoutSensitive(operation.input, JSON.parse(this.#redactor.redact(JSON.stringify(input)))),
      outcome: error ? "failed" : "done",
      errorCode: error?.code ?? null,
    });
  }

  #clean(error: TsdevError): TsdevError {
    const message = this.#redactor.redact(error.message);
    return message === error.message
      ? error
      : new TsdevError(error.code, { message, fix: error.fix, path: error.path });
  }
}

/** The input without the fields whose contract is marked `.meta({ sensitive: true })`. */
function withoutSensitive(contract: z.ZodType, value: unknown): object {
  if (!(contract instanceof z.ZodObject) || typeof value !== "object" || value === null) return value as object;
  const shape = contract.shape as Record<string, z.ZodType>;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, shape[key]?.meta()?.sensitive === true ? "[redacted]" : inner]),
  );
}

function inputError(name: string, error: z.ZodError): TsdevError {
  const issue = error.issues[0];
  const path = issue?.path.map(String).join(".") || undefined;
  const message = path ? `${path}: ${issue?.message}` : (issue?.message ?? "the input does not fit");
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
