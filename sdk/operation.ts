// Operation: a typed function with a contract, a summary and an access rule, from which every face is derived.
import type { z } from "zod";

/** What a principal may do; each role includes the ones before it. */
export const roles = ["viewer", "developer", "owner"] as const;
export type Role = (typeof roles)[number];

/** Who calls: every row and every span that the call touches is limited to `organizationId`. */
export interface Principal {
  id: string;
  name: string;
  organizationId: string;
  role: Role;
}

/** Through which face a call came; kept in the audit log. */
export type Face = "http" | "dashboard" | "mcp" | "cli" | "git" | "assistant" | "system";

/** One event of a long operation. `fraction` is 0 to 1 where it is known. */
export interface Progress {
  message: string;
  fraction?: number;
}

/** What a handler gets beside its input. */
export interface OperationContext {
  principal: Principal;
  face: Face;
  signal: AbortSignal;
  progress(event: Progress): void;
}

/** read changes nothing; write changes something; destructive cannot be undone and is confirmed first on MCP. */
export type Effect = "read" | "write" | "destructive";

interface OperationParts<I extends z.ZodType, O extends z.ZodType> {
  /** `noun.verb`, for example `deployments.scale`. */
  name: `${string}.${string}`;
  /** One sentence in the imperative, shown by every face. */
  summary: string;
  input: I;
  access: { role: Role; effect: Effect; idempotent: boolean };
  /**
   * Keys of the output that are a secret made for the caller, such as a token. They are answered as they are, while every
   * other secret in an answer is redacted, and such an operation is not offered where answers enter a conversation (MCP).
   */
  secretOutput?: readonly string[];
  /** `mcp`: the name of the direct tool, when it has one. `cli`: the command it is behind. */
  faces?: { mcp?: string; cli?: string };
  output: O;
}

/** An operation that answers once. */
export interface CallOperation<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType>
  extends OperationParts<I, O> {
  kind: "call";
  handler(input: z.output<I>, context: OperationContext): Promise<z.input<O>>;
}

/** An operation that yields values until it ends or the caller's signal aborts; `output` is one value's contract. */
export interface StreamOperation<I extends z.ZodType = z.ZodType, O extends z.ZodType = z.ZodType>
  extends OperationParts<I, O> {
  kind: "stream";
  handler(input: z.output<I>, context: OperationContext): AsyncIterable<z.input<O>>;
}

// biome-ignore lint/suspicious/noExplicitAny: a registry holds operations of every contract; the contract checks at run time
export type Operation = CallOperation<any, any> | StreamOperation<any, any>;

/** Declares an operation that answers once. */
export function operation<I extends z.ZodType, O extends z.ZodType>(
  parts: Omit<CallOperation<I, O>, "kind">,
): CallOperation<I, O> {
  return Object.freeze({ ...parts, kind: "call" as const });
}

/** Declares an operation that yields a stream of values. */
export function streamOperation<I extends z.ZodType, O extends z.ZodType>(
  parts: Omit<StreamOperation<I, O>, "kind">,
): StreamOperation<I, O> {
  return Object.freeze({ ...parts, kind: "stream" as const });
}
