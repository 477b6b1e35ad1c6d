// Contract: checks a value against a Zod schema and says in one TsdevError what is wrong and where.
import { z } from "zod";
import { type ErrorCode, TsdevError } from "../errors.ts";

/** The parsed value, or a TsdevError with the path of the first thing that is wrong. `what` names the value. */
export async function checkContract<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
  code: ContractCode = "invalid_input",
): Promise<z.output<S>> {
  return checkAtOnce(schema, value, what, code);
}

/** The same, for where a promise counts: one is answered only by a contract with an asynchronous part. */
export function checkAtOnce<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
  code: ContractCode,
): z.output<S> | Promise<z.output<S>> {
  const parsed = parse(schema, value, what, code);
  return parsed instanceof Promise
    ? parsed.then((later) => dataOf(later, what, code))
    : dataOf<z.output<S>>(parsed, what, code);
}

type ContractCode = Extract<ErrorCode, "invalid_input" | "invalid_output">;

function dataOf<T>(parsed: z.ZodSafeParseResult<T>, what: string, code: ContractCode): T {
  if (parsed.success) return parsed.data;
  const [first, ...others] = parsed.error.issues;
  const path = first?.path.map(String).join(".") ?? "";
  const place = path === "" ? "" : ` at "${path}"`;
  const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
  throw new TsdevError(code, {
    message: `${what} does not fit its contract${place}: ${first?.message ?? "invalid"}${more}`,
    fix: code === "invalid_input" ? "send what the contract asks for" : "return what the contract says, or change it",
    ...(path === "" ? {} : { path }),
    cause: parsed.error,
  });
}

/** Contracts that were found to have an asynchronous part. */
const asynchronous = new WeakSet<z.ZodType>();

/** At once where the contract allows it: a promise for each part of a value costs more than checking it. */
function parse<S extends z.ZodType>(schema: S, value: unknown, what: string, code: ErrorCode) {
  if (asynchronous.has(schema)) return schema.safeParseAsync(value);
  try {
    return schema.safeParse(value);
  } catch (error) {
    // The stack has an end, and a recursive contract goes as deep as the value does.
    if (error instanceof RangeError) {
      throw new TsdevError(code, { message: `${what} is nested too deeply`, fix: "nest it less", cause: error });
    }
    if (!(error instanceof z.core.$ZodAsyncError)) throw error;
    asynchronous.add(schema);
    return schema.safeParseAsync(value);
  }
}
