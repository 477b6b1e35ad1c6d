// Tools: derived from the operations; those with an MCP name are direct, the rest are found and run by two more tools.
import type { Tool, ToolAnnotations } from "@modelcontextprotocol/server";
import { z } from "zod";
import { type Operation, type Role, roles } from "../sdk/operation.ts";

export const searchTool = "search_tools";
export const runTool = "run_tool";
export const mostDirectTools = 20;
export const definitionTokens = 8_000;

const mostFound = 5;

export const SearchInput = z.object({
  query: z.string().max(200).describe("Words for what is to be done, such as `pull request merge` or `variables`"),
});

export const RunInput = z.object({
  tool: z.string().describe("Name as search_tools gives it, such as pulls.merge"),
  input: z.record(z.string(), z.unknown()).default({}).describe("As the tool's own schema says"),
  confirmation: z.string().optional().describe("The code that a plan of this same call answered"),
});

const confirmation = {
  type: "string",
  description: "The code that a plan of this same call answered; leave it out at first",
};

/** What the role allows, but for what answers with a secret: that must not pass through a conversation. */
export function mayUse(operation: Operation, role: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(operation.access.role) && operation.secretOutput === undefined;
}

/** What tools/list answers for a role; its order is the operations'. */
export function toolDefinitions(operations: Operation[], role: Role): Tool[] {
  const usable = operations.filter((one) => mayUse(one, role));
  const direct = usable.filter((one) => one.faces?.mcp !== undefined && one.kind === "call");
  const others = usable.length - direct.length;
  return [
    ...direct.map((one) => ({
      name: one.faces?.mcp as string,
      description: one.summary,
      inputSchema: withConfirmation(one, inputSchema(one.input)),
      annotations: annotationsOf(one),
    })),
    {
      name: searchTool,
      description: `Find one of ${others} further tools (pull requests, variables, audit log, …) and its input schema`,
      inputSchema: inputSchema(SearchInput),
      annotations: { readOnlyHint: true, destructiveHint: false, idempotentHint: true, openWorldHint: false },
    },
    {
      name: runTool,
      description: "Run a tool that search_tools found; one that cannot be undone answers its plan first",
      inputSchema: inputSchema(RunInput),
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: false },
    },
  ];
}

/** The operation behind a direct tool's name. */
export function directOperation(operations: Operation[], name: string): Operation | undefined {
  return operations.find((one) => one.faces?.mcp === name && one.kind === "call");
}

/** The tools that fit the words best, as text with their input schemas. */
export function foundTools(operations: Operation[], role: Role, query: string): string[] {
  const words = query
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);
  const scored = operations
    .filter((one) => mayUse(one, role))
    .map((one) => ({ one, score: scoreOf(one, words) }))
    .filter(({ score }) => score > 0)
    .toSorted((a, b) => b.score - a.score);
  return scored.slice(0, mostFound).map(({ one }) => {
    const direct = one.faces?.mcp && one.kind === "call" ? ` (direct tool: ${one.faces.mcp})` : "";
    return `${one.name}${direct}: ${one.summary}. ${one.access.effect}, needs ${one.access.role}. input: ${JSON.stringify(inputSchema(one.input))}`;
  });
}

function scoreOf(operation: Operation, words: string[]): number {
  const name = operation.name.toLowerCase();
  const summary = operation.summary.toLowerCase();
  const stem = (word: string) => (word.length > 3 ? word.replace(/s$/, "") : word);
  return words.reduce(
    (sum, word) => sum + (name.includes(stem(word)) ? 3 : 0) + (summary.includes(stem(word)) ? 1 : 0),
    0,
  );
}

function annotationsOf({ access }: Operation): ToolAnnotations {
  return {
    readOnlyHint: access.effect === "read",
    destructiveHint: access.effect === "destructive",
    idempotentHint: access.idempotent,
    openWorldHint: false,
  };
}

type JsonSchema = Tool["inputSchema"];

/** The contract as JSON Schema, without what only costs tokens. */
export function inputSchema(contract: z.ZodType): JsonSchema {
  const schema = z.toJSONSchema(contract, {
    io: "input",
    unrepresentable: "any",
    override: ({ jsonSchema }) => {
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      delete jsonSchema.sensitive;
    },
  });
  const { $schema: _dialect, ...rest } = schema;
  return rest as JsonSchema;
}

function withConfirmation(operation: Operation, schema: JsonSchema): JsonSchema {
  if (operation.access.effect !== "destructive") return schema;
  return { ...schema, properties: { ...schema.properties, confirmation } };
}
