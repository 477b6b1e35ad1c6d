// What the MCP server needs of the platform: its operations, who a token belongs to, and a key of its own.
import type { Face, Operation, Principal, Progress } from "../sdk/operation.ts";

export interface CallOptions {
  principal: Principal;
  face: Face;
  signal: AbortSignal;
  progress: (event: Progress) => void;
}

/** The operations; calls are authorized, checked and audited behind this. */
export interface Operations {
  list(): Operation[];
  call(name: string, input: unknown, options: CallOptions): Promise<unknown>;
  stream(name: string, input: unknown, options: CallOptions): AsyncIterable<unknown>;
}

export interface Tokens {
  principalOf(token: string): Promise<Principal | null>;
}

export interface KeySource {
  /** 32 bytes for one purpose. */
  derive(purpose: string): Buffer;
}
