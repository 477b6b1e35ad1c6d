// Document: names that the generated file has already, paths that say more than their parameters, and what no contract can be made of.
import { readdir } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
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

const refer = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const withSchemas = (schemas: object) => ({
  ...documentOf({
    "/x": get("one", {
      responses: { 200: { description: "x", content: { "application/json": { schema: refer("A") } } } },
    }),
  }),
  components: { schemas },
});

test("a schema that refers only to itself is refused by its name", () => {
  for (const schemas of [
    { A: refer("A") },
    { A: refer("B"), B: refer("A") },
    { A: { allOf: [refer("A"), { type: "object" }] } },
    { A: { anyOf: [{ type: "string" }, refer("A")] } },
    { A: { type: "string" }, B: { type: "array", items: { oneOf: [refer("B"), refer("C")] } }, C: refer("C") },
  ]) {
    const path = `#/components/schemas/${"C" in schemas ? "B/items" : "A"}`;
    expect(() => readDocument(withSchemas(schemas)), JSON.stringify(schemas)).toThrow(
      expect.objectContaining({ code: "invalid_input", path, message: expect.stringContaining("only to itself") }),
    );
  }
});

test("a schema that holds itself, and a member of a family that is all of its parent, are checked to their end", async () => {
  const kind = { type: "object", required: ["kind"], properties: { kind: { type: "string" } } };
  const { prepared } = readDocument(
    withSchemas({
      A: { ...kind, oneOf: [refer("Cat"), refer("Dog")], discriminator: { propertyName: "kind" } },
      Cat: { allOf: [refer("A"), { type: "object", required: ["lives"], properties: { lives: { type: "integer" } } }] },
      Dog: { allOf: [refer("A"), { type: "object", properties: { puppies: { type: "array", items: refer("Dog") } } }] },
    }),
  );
  const { source } = await contractsOf(prepared);
  const schemas = await import(`data:text/javascript,${encodeURIComponent(inPlainScript(source))}`);
  expect(schemas.zA.safeParse({ kind: "Cat", lives: 9 }).success).toBe(true);
  expect(schemas.zCat.safeParse({ kind: "Cat" }).success).toBe(false);
  expect(schemas.zCat.safeParse({ lives: 9 }).success).toBe(false);
  expect(schemas.zA.safeParse({ kind: "Dog", puppies: [{ kind: "Dog" }] }).success).toBe(true);
  expect(schemas.zDog.safeParse({ kind: "Dog", puppies: [{ kind: 1 }] }).success).toBe(false);
});

/** Where a module without a file finds zod. */
function inPlainScript(source: string): string {
  return stripTypeScriptTypes(source).replace('from "zod"', `from ${JSON.stringify(import.meta.resolve("zod"))}`);
}

test("a name that no constant can have is refused where somebody asks for it", () => {
  const document = documentOf({ "/x": get("one") });
  for (const name of ["class", "Class", "procedure"]) {
    expect(() => readDocument(document, name), name).toThrow(
      expect.objectContaining({ code: "invalid_input", path: "name", message: expect.stringContaining(`"${name}"`) }),
    );
  }
  expect(readDocument(document, "first class").name).toBe("firstClass");
  expect(readDocument({ ...document, info: { title: "Schemas", version: "1" } }).name).toBe("schemasOne");
});
