// Document: names that the generated file has already, paths that say more than their parameters, and what no contract can be made of.
import { readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { contractsOf } from "./contracts.ts";
import { readDocument } from "./document.ts";
import { printProcedures } from "./print.ts";

const get = (operationId: string | undefined, more: object = {}) => ({
  get: { operationId, responses: { 204: { description: "none" } }, ...more },
});
const documentOf = (paths: object) => ({ openapi: "3.1.0", info: { title: "Shop", version: "1" }, paths });

test("an operation is never named as what the generated file imports, as the API, or as another operation", () => {
  const ids = ["z", "procedure", "Upstream", "schemas", "undefined", "shop", "list", "List", "日本", undefined];
  const api = readDocument(documentOf(Object.fromEntries(ids.map((id, index) => [`/p${index}`, get(id)]))));
  expect(api.operations.map(({ name }) => name)).toEqual([
    "z2",
    "procedure2",
    "upstream2",
    "schemas2",
    "undefined2",
    "shop2",
    "list",
    "list2",
    "getP8",
    "getP9",
  ]);
});

test("a place in a path without a parameter of its own becomes a key of the input", async () => {
  const parameters = [{ name: "a-b", in: "path", required: true, schema: { type: "integer" } }];
  const api = readDocument(documentOf({ "/x/{a-b}/{c}": get("one", { parameters }), "/y/{d}": get("two") }));
  const source = printProcedures(api.name, api, await contractsOf(api.prepared), "shop.json");
  expect(source).toContain('input: z.object({ "a-b": schemas.zOnePath.shape["a-b"], c: schemas.zOnePath.shape.c })');
  expect(source).toContain("input: z.object({ d: schemas.zTwoPath.shape.d })");
});

test("where the generator stops, the error names the operation and nothing is left in the working folder", async () => {
  const parameters = [{ name: "__proto__", in: "query", schema: { type: "string" } }];
  const { prepared } = readDocument(documentOf({ "/x": get("one", { parameters }) }));
  await expect(contractsOf(prepared)).rejects.toMatchObject({ code: "invalid_input", path: "#/paths/~1x/get" });
  expect((await readdir(".")).filter((name) => name.startsWith("openapi-ts-error"))).toEqual([]);
});
