// Tools are derived from the operations: who sees which, with which hints, and how the rest is found.
import { expect, it } from "vitest";
import { z } from "zod";
import { operation, streamOperation } from "../sdk/operation.ts";
import { directOperation, foundTools, mayUse, toolDefinitions } from "./tools.ts";

const output = z.object({});
const handler = async () => ({});
const operations = [
  operation({
    name: "things.list",
    summary: "List the things",
    input: z.object({ limit: z.int().default(5) }),
    output,
    access: { role: "viewer", effect: "read", idempotent: true },
    faces: { mcp: "list_things" },
    handler,
  }),
  operation({
    name: "things.remove",
    summary: "Remove a thing",
    input: z.object({ thing: z.string() }),
    output,
    access: { role: "owner", effect: "destructive", idempotent: true },
    faces: { mcp: "remove_thing" },
    handler,
  }),
  streamOperation({
    name: "things.watch",
    summary: "Follow the things",
    input: z.object({}),
    output,
    access: { role: "viewer", effect: "read", idempotent: true },
    faces: { mcp: "watch_things" },
    handler: async function* () {},
  }),
  operation({
    name: "identity.login",
    summary: "Make a link",
    input: z.object({}),
    output,
    secretOutput: ["url"],
    access: { role: "viewer", effect: "write", idempotent: false },
    handler,
  }),
];

it("a role sees the tools that it may use", () => {
  const names = (role: "viewer" | "owner") => toolDefinitions(operations, role).map((tool) => tool.name);
  expect(names("viewer")).toEqual(["list_things", "search_tools", "run_tool"]);
  expect(names("owner")).toEqual(["list_things", "remove_thing", "search_tools", "run_tool"]);
});

it("hints say what the access rule says, and a destructive tool takes a confirmation", () => {
  const [list, remove] = toolDefinitions(operations, "owner");
  expect(list?.annotations).toEqual({
    readOnlyHint: true,
    destructiveHint: false,
    idempotentHint: true,
    openWorldHint: false,
  });
  expect(remove?.annotations).toMatchObject({ readOnlyHint: false, destructiveHint: true });
  expect(Object.keys(list?.inputSchema.properties ?? {})).toEqual(["limit"]);
  expect(Object.keys(remove?.inputSchema.properties ?? {})).toEqual(["thing", "confirmation"]);
  expect(JSON.stringify(list?.inputSchema)).not.toContain(String(Number.MAX_SAFE_INTEGER));
});

it("streams are not direct tools but are found", () => {
  expect(directOperation(operations, "watch_things")).toBeUndefined();
  expect(foundTools(operations, "viewer", "follow things").join("\n")).toContain("things.watch");
});

it("a link to sign in does not pass through a conversation", () => {
  const login = operations.find((one) => one.name === "identity.login")!;
  expect(mayUse(login, "owner")).toBe(false);
  expect(foundTools(operations, "owner", "link login identity")).toEqual([]);
});
