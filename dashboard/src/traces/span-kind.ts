// Span kind: what sort of work a span is, by its attributes, and how it is called in one line.
import type { Span } from "../api/types.ts";

export type Kind = "server" | "database" | "http" | "workflow" | "internal";

export const kindNames: Record<Kind, string> = {
  server: "request",
  database: "database",
  http: "HTTP out",
  workflow: "workflow, step",
  internal: "other",
};

export function kindOf(span: Span): Kind {
  const { attributes } = span;
  if (attributes["db.system.name"] || attributes["db.system"]) return "database";
  if (attributes["tsdev.workflow.name"] || attributes["tsdev.node.id"] || /^procedure /.test(span.name)) {
    return "workflow";
  }
  if (span.kind === "server" || span.kind === "consumer") return "server";
  if (span.kind === "client" || span.kind === "producer") return "http";
  return "internal";
}

export const statementOf = (span: Span) => span.attributes["db.query.text"] ?? span.attributes["db.statement"] ?? null;

const verb = /^\s*(?:\/\*.*?\*\/\s*)?([a-z]+)/i;
const table = /\b(?:from|into|update|join)\s+(?:only\s+)?"?([\w.$]+)/i;

/** A statement in a few words, for the tree; the whole text is in the details. */
function statementLabel(text: string): string {
  const first = verb.exec(text)?.[1]?.toUpperCase() ?? "query";
  const named = table.exec(text)?.[1];
  return named ? `${first} … ${named}` : first;
}

export function labelOf(span: Span): string {
  const statement = kindOf(span) === "database" ? statementOf(span) : null;
  return statement ? statementLabel(statement) : span.name;
}

export function placeOf(span: Span): string | null {
  const file = span.attributes["code.file.path"] ?? span.attributes["code.filepath"];
  if (!file) return null;
  const line = span.attributes["code.line.number"] ?? span.attributes["code.lineno"];
  return line ? `${file}:${line}` : file;
}
