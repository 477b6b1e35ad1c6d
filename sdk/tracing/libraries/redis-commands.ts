// Redis commands: the span of a command or of a batch of them, with every argument masked.
import { type Attributes, trace } from "@opentelemetry/api";
import {
  ATTR_DB_NAMESPACE,
  ATTR_DB_OPERATION_BATCH_SIZE,
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_RESPONSE_STATUS_CODE,
  ATTR_DB_SYSTEM_NAME,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
} from "@opentelemetry/semantic-conventions";
import type { RecordedSpan } from "../span.ts";
import type { LeanTracer } from "../tracer.ts";
import { begun, errorType, type PeerError } from "./client-span.ts";

/** Where a command goes. */
export interface RedisServer {
  address: string | undefined;
  port: number | undefined;
  database: number | string | undefined;
}

export type Batch = "MULTI" | "PIPELINE";

// Longer texts say nothing more: what follows is all question marks.
const shownArguments = 16;
const shownCommands = 8;
// What clients say to begin with, in nobody's name.
const handshake = new Set(["AUTH", "CLIENT", "HELLO", "INFO", "READONLY", "SELECT"]);

/** `SET ? ?`: keys hold values as often as arguments do. */
export function commandText(name: string, argumentCount: number): string {
  const shown = " ?".repeat(Math.min(argumentCount, shownArguments));
  return `${name.toUpperCase()}${shown}${argumentCount > shownArguments ? " ..." : ""}`;
}

export function beginCommand(
  tracer: LeanTracer,
  name: string,
  argumentCount: number,
  server: () => RedisServer,
  below: (...args: never[]) => unknown,
): RecordedSpan | undefined {
  const operation = name.toUpperCase();
  if (handshake.has(operation) && trace.getActiveSpan() === undefined) return undefined;
  const describe = () => ({
    name: operation,
    text: commandText(name, argumentCount),
    attributes: attributesOf(operation, server()),
  });
  return begun(tracer, describe, below);
}

/**
 * A batch is one way to the server and back, so it is one span, however many commands are in it; of some only their
 * number is known.
 */
export function beginBatch(
  tracer: LeanTracer,
  batch: Batch,
  commands: readonly { name: string; argumentCount: number }[] | number,
  server: () => RedisServer,
  below: (...args: never[]) => unknown,
): RecordedSpan | undefined {
  const describe = () => {
    const known = typeof commands === "number" ? [] : commands;
    const size = typeof commands === "number" ? commands : commands.length;
    const names = new Set(known.map(({ name }) => name.toUpperCase()));
    const operation = names.size === 1 ? `${batch} ${[...names][0]}` : batch;
    const texts = known.slice(0, shownCommands).map(({ name, argumentCount }) => commandText(name, argumentCount));
    if (known.length > shownCommands) texts.push("...");
    const attributes = {
      ...attributesOf(operation, server()),
      // One command is no batch, say the conventions.
      [ATTR_DB_OPERATION_BATCH_SIZE]: size > 1 ? size : undefined,
    };
    return { name: operation, text: texts.join("; ") || batch, attributes };
  };
  return begun(tracer, describe, below);
}

function attributesOf(operation: string, { address, port, database }: RedisServer): Attributes {
  return {
    [ATTR_DB_SYSTEM_NAME]: "redis",
    [ATTR_DB_OPERATION_NAME]: operation,
    [ATTR_DB_NAMESPACE]: database === undefined ? undefined : String(database),
    [ATTR_SERVER_ADDRESS]: address,
    [ATTR_SERVER_PORT]: port,
  };
}

/** Errors of Redis begin with a word in capitals, for example WRONGTYPE. */
export function describedRedis(error: object): PeerError {
  const { message } = error as { message?: unknown };
  const prefix = /^([A-Z]{2,}) /.exec(String(message))?.[1];
  return prefix ? { type: prefix, attributes: { [ATTR_DB_RESPONSE_STATUS_CODE]: prefix } } : { type: errorType(error) };
}
