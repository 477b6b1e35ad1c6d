// OpenAPI of a procedure: its parameters, body, answers and problems.
import { STATUS_CODES } from "node:http";
import type { z } from "zod";
import type { AnyProcedure, DeclaredErrors, HttpRoute } from "../procedures/procedure.ts";
import { itemOf } from "../procedures/stream.ts";
import { type JsonSchema, propertiesOf, type Schemas } from "./json-schema.ts";
import { placesOf, takesFiles } from "./request-input.ts";
import { contains } from "./schema-walk.ts";

export type PathItem = Record<string, JsonSchema>;

const problemContent = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };

/** What any operation may answer beside its own. */
export const problemResponses: JsonSchema = {
  BadRequest: { description: "The request does not fit the contract", content: problemContent },
  Unauthenticated: { description: "The caller is not known", content: problemContent },
  Refused: { description: "Refused, with what to do", content: problemContent },
  Failed: { description: "Failed, with what to do", content: problemContent },
};

export function problems(more: JsonSchema = {}): JsonSchema {
  return {
    "400": { $ref: "#/components/responses/BadRequest" },
    "401": { $ref: "#/components/responses/Unauthenticated" },
    "4XX": { $ref: "#/components/responses/Refused" },
    "5XX": { $ref: "#/components/responses/Failed" },
    ...more,
  };
}

/** `orders.get` stands under `orders`. */
function tagOf(name: string): string {
  return name.includes(".") ? name.slice(0, name.indexOf(".")) : "procedures";
}

export function summaryOf(name: string): string {
  const words = name
    .replace(/([a-z\d])([A-Z])/g, "$1 $2")
    .replace(/[._-]+/g, " ")
    .toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function operationOf(procedure: AnyProcedure, route: HttpRoute | undefined, schemas: Schemas): JsonSchema {
  const operation: JsonSchema = {
    operationId: procedure.name,
    summary: procedure.summary ?? summaryOf(procedure.name),
    tags: [...(route?.tags ?? [tagOf(procedure.name)])],
  };
  const input = schemas.of(procedure.input, "input");
  const places = route && placesOf(procedure, route);
  let body: { schema: JsonSchema; required: boolean } | undefined = {
    schema: input,
    required: !accepts(procedure.input),
  };
  if (places) {
    const { properties, required } = propertiesOf(input, schemas.components);
    const parameters = parametersOf(places, properties, required);
    if (parameters.length > 0) operation.parameters = parameters;
    const outside = new Set(parameters.map(({ key }) => key));
    body = places.body ? bodyWithout(input, outside, { properties, required }) : undefined;
    for (const parameter of parameters) delete (parameter as { key?: string }).key;
  }
  if (body) {
    const content: JsonSchema = {};
    // A client that has files cannot send them as JSON.
    if (takesFiles(procedure)) content["multipart/form-data"] = { schema: body.schema };
    else content["application/json"] = { schema: body.schema };
    operation.requestBody = { required: body.required, content };
  }
  operation.responses = { ...successOf(procedure, route, schemas), ...problems(declaredOf(procedure, schemas)) };
  return operation;
}

/** An input that may be empty needs no body. */
function accepts(schema: z.ZodType): boolean {
  try {
    return schema.safeParse({}).success;
  } catch {
    return false;
  }
}

interface Parameter extends JsonSchema {
  key: string;
}

function parametersOf(
  places: ReturnType<typeof placesOf>,
  properties: Record<string, JsonSchema>,
  required: ReadonlySet<string>,
): Parameter[] {
  const named = new Set([...places.path, ...Object.keys(places.headers)]);
  const query = places.query ?? Object.keys(properties).filter((key) => !named.has(key));
  const describe = (key: string, where: string, name: string): Parameter => {
    const { description, ...property } = properties[key] ?? {};
    const known = { key, name, in: where, required: where === "path" || required.has(key) };
    const told = typeof description === "string" ? { ...known, description } : known;
    return isJsonText(property)
      ? { ...told, content: { "application/json": { schema: property } } }
      : { ...told, schema: property };
  };
  return [
    ...places.path.map((key) => describe(key, "path", key)),
    ...query.map((key) => describe(key, "query", key)),
    ...Object.entries(places.headers).map(([key, name]) => describe(key, "header", name)),
  ];
}

/** Objects, and lists of lists (maps), stand in a query as JSON. */
function isJsonText(schema: JsonSchema): boolean {
  if (schema.type === "object" || schema.properties) return true;
  const items = schema.items as JsonSchema | undefined;
  return schema.type === "array" && items?.type === "array";
}

function bodyWithout(
  input: JsonSchema,
  outside: ReadonlySet<string>,
  { properties, required }: ReturnType<typeof propertiesOf>,
): { schema: JsonSchema; required: boolean } | undefined {
  if (outside.size === 0) return { schema: input, required: required.size > 0 };
  const left = Object.entries(properties).filter(([key]) => !outside.has(key));
  if (left.length === 0) return undefined;
  const asked = [...required].filter((key) => !outside.has(key));
  return {
    schema: {
      type: "object",
      properties: Object.fromEntries(left),
      ...(asked.length === 0 ? {} : { required: asked }),
      ...(input.additionalProperties === undefined ? {} : { additionalProperties: input.additionalProperties }),
    },
    required: asked.length > 0,
  };
}

/** Readers differ in what they hold against it: the text, or each event. */
export const eventSchema: JsonSchema = { description: "Server-sent events; the data of each is JSON" };

const nothing = new Set(["undefined", "void"]);

function successOf(procedure: AnyProcedure, route: HttpRoute | undefined, schemas: Schemas): JsonSchema {
  const item = itemOf(procedure.output);
  if (item) {
    const schema = schemas.of(item, "output");
    return {
      [route?.status ?? 200]: {
        description: "The items as they come",
        content: { "text/event-stream": { schema: eventSchema }, "application/x-ndjson": { schema } },
      },
    };
  }
  const definition = procedure.output._zod.def.type;
  if (nothing.has(definition)) return { [route?.status ?? 204]: { description: "Done" } };
  const content =
    definition === "file"
      ? { "*/*": { schema: { type: "string", format: "binary" } } }
      : { "application/json": { schema: schemas.of(procedure.output, "output") } };
  const done: JsonSchema = { [route?.status ?? 200]: { description: "Done", content } };
  if (contains(procedure.output, nothing, "output") && procedure.output.safeParse(undefined).success) {
    done["204"] = { description: "Done, with nothing to say" };
  }
  return done;
}

function declaredOf(procedure: AnyProcedure, schemas: Schemas): JsonSchema {
  const byStatus = new Map<number, [string, JsonSchema][]>();
  for (const [code, { status, data }] of Object.entries(procedure.errors as DeclaredErrors)) {
    const properties: JsonSchema = { code: { const: code } };
    if (data) properties.data = schemas.of(data, "output");
    const schema = {
      allOf: [{ $ref: "#/components/schemas/Problem" }, { type: "object", required: data ? ["data"] : [], properties }],
    };
    byStatus.set(status, [...(byStatus.get(status) ?? []), [code, schema]]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, declared]) => {
      // Others of the same status come from policies and from the framework.
      const anyOf = [...declared.map(([, schema]) => schema), { $ref: "#/components/schemas/Problem" }];
      const description = `${STATUS_CODES[status] ?? "Error"}: ${declared.map(([code]) => code).join(", ")}`;
      return [String(status), { description, content: { "application/problem+json": { schema: { anyOf } } } }];
    }),
  );
}
