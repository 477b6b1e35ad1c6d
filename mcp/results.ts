// Results: an answer or an error as what tools/call returns.
import type { CallToolResult } from "@modelcontextprotocol/server";
import type { ErrorCode, TsdevError } from "../sdk/errors.ts";
import { type Answer, clean, fence, fitted } from "./text.ts";

const messageCharacters = 4_000;

/** Their messages may quote what an app, a build or a Git host wrote. */
const quoting = new Set<ErrorCode>([
  "build_failed",
  "not_deployable",
  "unhealthy",
  "crashed",
  "wrong_port",
  "git_rejected",
  "step_failed",
  "run_failed",
  "declined",
  "not_proven",
  "internal",
]);

export function textResult(answer: Answer): CallToolResult {
  return {
    content: [{ type: "text", text: fitted(answer) }],
    ...(answer.structured ? { structuredContent: answer.structured } : {}),
    ...(answer.failed ? { isError: true } : {}),
  };
}

export function errorResult(error: TsdevError): CallToolResult {
  const message = clean(error.message).slice(0, messageCharacters);
  const said = quoting.has(error.code) ? `\n${fence([message])}` : `: ${message}`;
  const path = error.path ? ` (at ${error.path})` : "";
  return {
    isError: true,
    content: [{ type: "text", text: `error ${error.code}${path}${said}\nfix: ${clean(error.fix)}` }],
    structuredContent: { error: { code: error.code, ...(error.path ? { path: error.path } : {}) } },
  };
}
