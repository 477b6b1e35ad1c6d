// OpenAPI 3.1 of the HTTP face, derived from the operation registry.
import { z } from "zod";
import {
  createDocument,
  type ZodOpenApiObject,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
} from "zod-openapi";
import type { Operation } from "../../sdk/operation.ts";
import { ErrorShape } from "../deployments/deployment.ts";

const ErrorBody = z.object({ error: ErrorShape }).meta({ id: "Error" });

/** The path of an operation below `/api/v1`: `deployments.scale` is `/deployments/scale`. */
export function pathOf(operation: Operation): string {
  return `/${operation.name.replaceAll(".", "/")}`;
}

/** Reads are GET with the input in the query, everything else POST with a JSON body. */
export function methodOf(operation: Operation): "get" | "post" {
  return operation.access.effect === "read" ? "get" : "post";
}

/** The document for `/api/v1/openapi.json`. */
export function openApiDocument(operations: Operation[], options: { url: string; version: string }): object {
  const paths: ZodOpenApiPathsObject = {};
  for (const operation of operations) {
    const success = operation.kind === "stream" ? "text/event-stream" : "application/json";
    const described: ZodOpenApiOperationObject = {
      operationId: operation.name,
      summary: operation.summary,
      description: `Needs the role \`${operation.access.role}\`. Effect: ${operation.access.effect}${operation.access.idempotent ? ", safe to repeat" : ""}.`,
      tags: [operation.name.split(".")[0] ?? "other"],
      responses: {
        "200": { description: "Done", content: { [success]: { schema: operation.output } } },
        "4XX": { description: "Refused, with what to do", content: { "application/json": { schema: ErrorBody } } },
        "5XX": { description: "Failed, with what to do", content: { "application/json": { schema: ErrorBody } } },
      },
    };
    if (methodOf(operation) === "get") {
      if (operation.input instanceof z.ZodObject) described.requestParams = { query: operation.input };
      paths[pathOf(operation)] = { get: described };
    } else {
      described.requestBody = { required: true, content: { "application/json": { schema: operation.input } } };
      paths[pathOf(operation)] = { post: described };
    }
  }
  const document: ZodOpenApiObject = {
    openapi: "3.1.0",
    info: {
      title: "tsdev",
      version: options.version,
      description: "Everything tsdev can do. The MCP tools, the CLI and the dashboard are made of the same operations.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: `${options.url}/api/v1` }],
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    tags: [...new Set(operations.map((one) => one.name.split(".")[0] ?? "other"))].map((name) => ({ name })),
    paths,
  };
  return createDocument(document, {
    override: ({ jsonSchema }) => {
      // OpenAPI knows no such keyword; its extensions begin with x-
      if (!("sensitive" in jsonSchema)) return;
      (jsonSchema as Record<string, unknown>)["x-sensitive"] = jsonSchema.sensitive;
      delete jsonSchema.sensitive;
    },
  });
}
