// @tsdev/sdk/introspection: what an app declares, as data, and workflows given as data.
export { type Composed, type ComposeProblem, composeWorkflow } from "./compose/compose.ts";
export {
  describe,
  type ProcedureDescription,
  type RegistryDescription,
  type WorkflowDescription,
} from "./describe.ts";
export type { JsonSchema } from "./json-schema.ts";
export { toMermaid } from "./mermaid.ts";
export { type IntrospectionOptions, introspectionRoutes } from "./routes.ts";
