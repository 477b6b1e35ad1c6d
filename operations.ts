// Operations: everything the platform can do, collected from its nouns; every face is derived from this list.
import { suggestionOperations } from "./agents/suggestions/operations.ts";
import { deploymentOperations } from "./platform/deployments/operations.ts";
import { pullRequestOperations } from "./platform/git/operations.ts";
import { identityOperations } from "./platform/identity/operations.ts";
import { projectOperations } from "./platform/projects/operations.ts";
import type { Projects } from "./platform/projects/projects.ts";
import type { Variables } from "./platform/projects/variables.ts";
import { telemetryOperations } from "./platform/telemetry/operations.ts";
import type { Operation } from "./sdk/operation.ts";

export interface OperationParts {
  identity: Parameters<typeof identityOperations>[0];
  projects: Projects;
  variables: Variables;
  deployments: Parameters<typeof deploymentOperations>[0];
  telemetry: Parameters<typeof telemetryOperations>[0];
  pullRequests: Parameters<typeof pullRequestOperations>[0];
  suggestions: Parameters<typeof suggestionOperations>[0];
}

/** All operations. Nothing is opened or called here: the parts are used by the handlers alone. */
export function allOperations(parts: OperationParts): Operation[] {
  return [
    ...identityOperations(parts.identity),
    ...projectOperations(parts.projects, parts.variables),
    ...deploymentOperations(parts.deployments),
    ...telemetryOperations(parts.telemetry),
    ...pullRequestOperations(parts.pullRequests),
    ...suggestionOperations(parts.suggestions),
  ];
}
