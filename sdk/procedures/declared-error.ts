// Declared error: an error that a procedure promises by name, with an HTTP status and typed data.
import type { z } from "zod";
import { TsdevError } from "../errors.ts";
import type { AnyProcedure, DeclaredErrorContract, DeclaredErrors } from "./procedure.ts";

const marker = Symbol.for("tsdev.declared-error");

/** Data comes first where the error has some, then a sentence for people. */
export type FailDetails<D> = D extends { readonly data: infer S extends z.ZodType }
  ? [data: z.input<S>, message?: string]
  : [message?: string];

export type Fail<E extends DeclaredErrors> = <Code extends keyof E & string>(
  code: Code,
  ...details: FailDetails<E[Code]>
) => never;

/**
 * What `ctx.fail` throws. HTTP answers it as a problem with this `code`, `status` and `data`. It is tried again only when
 * its status says that it may pass (408, 425, 429, 5xx).
 */
export class DeclaredError<Code extends string = string, Data = unknown> extends Error {
  readonly code: Code;
  readonly status: number;
  readonly data: Data;
  /** The procedure that declares it: a caller in between has not promised it to its own callers. */
  readonly procedure: string;
  readonly [marker] = true;

  constructor(code: Code, parts: { status: number; data: Data; procedure: string; message?: string | undefined }) {
    super(parts.message ?? code.replaceAll("_", " "));
    this.name = "DeclaredError";
    this.code = code;
    this.status = parts.status;
    this.data = parts.data;
    this.procedure = parts.procedure;
  }

  toJSON(): { code: Code; message: string; data?: Data } {
    const { code, message, data } = this;
    return data === undefined ? { code, message } : { code, message, data };
  }

  /** True for any, also one made by another copy of this package. */
  static is(value: unknown): value is DeclaredError {
    return typeof value === "object" && value !== null && marker in value;
  }
}

/** The `ctx.fail` of a procedure; undefined when it declares no errors. */
export function failOf(procedure: AnyProcedure): ((code: string, ...details: unknown[]) => never) | undefined {
  const errors: DeclaredErrors = procedure.errors;
  if (Object.keys(errors).length === 0) return undefined;
  return (code, ...details) => {
    const contract = Object.hasOwn(errors, code) ? errors[code] : undefined;
    if (!contract) {
      throw new TsdevError("invalid_output", {
        message: `procedure "${procedure.name}" does not declare the error "${code}"`,
        fix: `declare it under errors; known: ${Object.keys(errors).join(", ")}`,
      });
    }
    const [data, message] = contract.data ? details : [undefined, details[0]];
    throw new DeclaredError(code, {
      status: contract.status,
      data: dataOf(contract, data, `the data of "${code}" of procedure "${procedure.name}"`),
      procedure: procedure.name,
      message: message as string | undefined,
    });
  };
}

function dataOf(contract: DeclaredErrorContract, data: unknown, what: string): unknown {
  if (!contract.data) return undefined;
  const parsed = contract.data.safeParse(data);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const path = issue?.path.map(String).join(".") ?? "";
  throw new TsdevError("invalid_output", {
    message: `${what} does not fit its contract${path === "" ? "" : ` at "${path}"`}: ${issue?.message ?? "invalid"}`,
    fix: "fail with what the contract says, or change it",
    ...(path === "" ? {} : { path }),
    cause: parsed.error,
  });
}

/** Throws `invalid_config` for a code that is no name, or a status that is no error's. */
export function checkDeclaredErrors<E extends DeclaredErrors>(errors: E, procedure: string): E {
  for (const [code, { status }] of Object.entries(errors)) {
    if (!/^[a-z][a-z0-9_]*$/.test(code)) throw wrong(procedure, code, "is no code such as out_of_stock");
    if (!Number.isInteger(status) || status < 400 || status > 599) {
      throw wrong(procedure, code, `has the status ${status}, which is not one from 400 to 599`);
    }
  }
  return errors;
}

function wrong(procedure: string, code: string, what: string): TsdevError {
  return new TsdevError("invalid_config", {
    message: `procedure "${procedure}", errors: "${code}" ${what}`,
    fix: "correct the declaration",
    path: `errors.${code}`,
  });
}
