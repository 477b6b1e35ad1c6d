// Operations on projects and their variables.
import { z } from "zod";
import { type Operation, operation } from "../../sdk/operation.ts";
import { EnvironmentRef, GitHubRepository, Project, ProjectName, ProjectSettings } from "./project.ts";
import type { Projects } from "./projects.ts";
import { VariableName, type Variables, VariableValue } from "./variables.ts";

export function projectOperations(projects: Projects, variables: Variables): Operation[] {
  return [
    operation({
      name: "projects.create",
      summary: "Make a project with a repository here or one on GitHub, and its production environment",
      input: z.object({
        name: ProjectName,
        defaultBranch: z
          .string()
          .regex(/^[\w][\w./-]{0,99}$/)
          .optional()
          .describe("Default: main here, the repository's own on GitHub"),
        repository: GitHubRepository.optional().describe(
          "owner/name of a repository on GitHub; without it one is made on this platform",
        ),
        settings: ProjectSettings.optional(),
      }),
      output: z.object({ project: Project, created: z.boolean() }),
      access: { role: "developer", effect: "write", idempotent: true },
      handler: (input, { principal }) => projects.create(principal.organizationId, input),
    }),
    operation({
      name: "projects.list",
      summary: "List the projects with their environments and addresses",
      input: z.object({}),
      output: z.object({ projects: z.array(Project) }),
      access: { role: "viewer", effect: "read", idempotent: true },
      faces: { mcp: "list_projects" },
      handler: async (_input, { principal }) => ({ projects: await projects.list(principal.organizationId) }),
    }),
    operation({
      name: "projects.get",
      summary: "Show one project",
      input: z.object({ project: ProjectName }),
      output: Project,
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: ({ project }, { principal }) => projects.get(principal.organizationId, project),
    }),
    operation({
      name: "variables.set",
      summary: "Set variables of an environment; they reach its next deployment",
      input: EnvironmentRef.extend({
        variables: z.record(VariableName, VariableValue).meta({ sensitive: true, description: "Name to value" }),
        secret: z.boolean().default(true).describe("Secret values are redacted everywhere and never reach a proof"),
      }),
      output: z.object({ names: z.array(z.string()) }),
      access: { role: "developer", effect: "write", idempotent: true },
      handler: async (input, { principal }) => {
        const { environment } = await projects.environment(principal.organizationId, input.project, input.environment);
        const list = Object.entries(input.variables).map(([name, value]) => ({ name, value, secret: input.secret }));
        await variables.set(environment, list);
        return { names: list.map((variable) => variable.name) };
      },
    }),
    operation({
      name: "variables.list",
      summary: "List the names of an environment's variables; values are not shown",
      input: EnvironmentRef,
      output: z.object({ variables: z.array(z.object({ name: z.string(), secret: z.boolean() })) }),
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async (input, { principal }) => {
        const { environment } = await projects.environment(principal.organizationId, input.project, input.environment);
        const list = await variables.all(environment.id);
        return { variables: list.map(({ name, secret }) => ({ name, secret })) };
      },
    }),
    operation({
      name: "variables.remove",
      summary: "Remove a variable of an environment",
      input: EnvironmentRef.extend({ name: VariableName }),
      output: z.object({ removed: z.boolean() }),
      access: { role: "developer", effect: "destructive", idempotent: true },
      handler: async (input, { principal }) => {
        const { environment } = await projects.environment(principal.organizationId, input.project, input.environment);
        return { removed: await variables.remove(environment.id, input.name) };
      },
    }),
  ];
}
