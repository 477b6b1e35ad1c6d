// Operations on deployments: list, get, follow, roll back, scale, cancel.
import type { Kysely } from "kysely";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import { type Operation, operation, streamOperation } from "../../sdk/operation.ts";
import type { BuildLogs } from "../builds/build-log.ts";
import { EnvironmentRef } from "../projects/project.ts";
import type { ProjectRow, Projects } from "../projects/projects.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { DatabaseSchema } from "../store/schema.ts";
import { BuildLogLine, Deployment } from "./deployment.ts";
import type { Deployments } from "./deployments.ts";

const DeploymentId = z.object({ deployment: z.string().describe("A deployment's id, dep_…") });
const maxReplicas = 20;
const pollMs = 100;
const logTailLines = 40;

export function deploymentOperations(parts: {
  db: Kysely<DatabaseSchema>;
  deployments: Deployments;
  projects: Projects;
  logs: BuildLogs;
  runtime: Runtime;
  /** The head of a branch in the project's repository, or null. */
  head(project: ProjectRow, branch: string): Promise<{ commit: string; message: string } | null>;
}): Operation[] {
  const { db, deployments, projects, logs, runtime } = parts;
  return [
    operation({
      name: "deployments.list",
      summary: "List an environment's deployments, newest first",
      input: EnvironmentRef.extend({ limit: z.int().min(1).max(100).default(20) }),
      output: z.object({ deployments: z.array(Deployment) }),
      access: { role: "viewer", effect: "read", idempotent: true },
      faces: { mcp: "list_deployments", cli: "deployments" },
      handler: async (input, { principal }) => ({
        deployments: await deployments.list(principal.organizationId, input.project, input.environment, input.limit),
      }),
    }),
    operation({
      name: "deployments.get",
      summary: "Show one deployment: status, reason, phases, instances",
      input: DeploymentId,
      output: Deployment,
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async (input, { principal }) =>
        deployments.describe(await deployments.row(principal.organizationId, input.deployment)),
    }),
    operation({
      name: "deployments.wait",
      summary: "Wait until a deployment is live or has failed, telling its build log as progress",
      input: DeploymentId,
      output: Deployment,
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async (input, { principal, signal, progress }) => {
        const row = await deployments.row(principal.organizationId, input.deployment);
        const settled = () => deployments.isSettled(row.id);
        for await (const line of logs.follow(row.id, settled, signal)) progress({ message: line.text });
        return deployments.describe(await deployments.row(principal.organizationId, input.deployment));
      },
    }),
    streamOperation({
      name: "deployments.log",
      summary: "Follow a deployment's build log from its first line",
      input: DeploymentId,
      output: BuildLogLine,
      access: { role: "viewer", effect: "read", idempotent: true },
      handler: async function* (input, { principal, signal }) {
        const row = await deployments.row(principal.organizationId, input.deployment);
        yield* logs.follow(row.id, () => deployments.isSettled(row.id), signal);
      },
    }),
    operation({
      name: "deployments.deploy",
      summary:
        "Deploy what was pushed: builds the head of an environment's branch and waits until it is live or has failed, answering the URL or the reason with the log's last lines",
      input: EnvironmentRef.extend({
        wait: z.boolean().default(true).describe("false answers at once; ask deployments.get how it goes"),
      }),
      output: z.object({
        deployment: Deployment,
        /** The end of the build log where it failed. */
        log: z.array(BuildLogLine),
      }),
      access: { role: "developer", effect: "write", idempotent: true },
      faces: { mcp: "deploy" },
      handler: async (input, { principal, signal, progress }) => {
        const { organizationId } = principal;
        const place = await projects.environment(organizationId, input.project, input.environment);
        const { branch } = place.environment;
        const head = await parts.head(place.project, branch);
        if (!head) {
          throw new TsdevError("conflict", {
            message: `the repository of ${input.project} has no branch ${branch}`,
            fix: `push it first: \`npx tsdev deploy\` in the app's folder, or git push to the address that projects.get shows`,
          });
        }
        const { id } = await deployments.deploy(organizationId, input.project, input.environment, head);
        const settled = () => deployments.isSettled(id);
        if (input.wait) {
          for await (const line of logs.follow(id, settled, signal)) progress({ message: line.text });
        }
        const deployment = await deployments.describe(await deployments.row(organizationId, id));
        return { deployment, log: deployment.status === "failed" ? await logs.tail(id, logTailLines) : [] };
      },
    }),
    operation({
      name: "deployments.redeploy",
      summary: "Deploy the commit that is live once more, with the variables as they are now",
      input: EnvironmentRef,
      output: Deployment,
      access: { role: "developer", effect: "write", idempotent: false },
      handler: async (input, { principal }) =>
        deployments.describe(await deployments.redeploy(principal.organizationId, input.project, input.environment)),
    }),
    operation({
      name: "deployments.rollback",
      summary: "Make an earlier release live again: the one before, or the one of the deployment named",
      input: EnvironmentRef.extend({
        deployment: z.string().optional().describe("Default: the release before the live one"),
      }),
      output: Deployment,
      access: { role: "developer", effect: "write", idempotent: false },
      faces: { mcp: "rollback", cli: "rollback" },
      handler: async (input, { principal, signal }) => {
        const { id } = await deployments.rollback(
          principal.organizationId,
          input.project,
          input.environment,
          input.deployment,
        );
        while (!signal.aborted && !(await deployments.isSettled(id)))
          await new Promise((resolve) => setTimeout(resolve, pollMs));
        const row = await deployments.row(principal.organizationId, id);
        if (row.status === "failed" && row.reason) throw new TsdevError(row.reason.code, row.reason);
        return deployments.describe(row);
      },
    }),
    operation({
      name: "deployments.scale",
      summary: "Set how many instances of an environment run",
      input: EnvironmentRef.extend({ replicas: z.int().min(0).max(maxReplicas) }),
      output: Deployment,
      access: { role: "developer", effect: "write", idempotent: true },
      faces: { mcp: "scale", cli: "scale" },
      handler: async (input, { principal, signal }) => {
        const { environment } = await projects.environment(principal.organizationId, input.project, input.environment);
        const live = await deployments.live(environment.id);
        if (!live) {
          throw new TsdevError("conflict", {
            message: `nothing is live in ${input.project}/${input.environment}`,
            fix: "deploy first with `npx tsdev deploy`",
          });
        }
        await db
          .updateTable("environments")
          .set({ replicas: input.replicas })
          .where("id", "=", environment.id)
          .execute();
        const scaled = await runtime.scale(live.id, input.replicas, signal);
        if (!scaled.ok) throw new TsdevError(scaled.error.code, scaled.error);
        return deployments.describe(live);
      },
    }),
    operation({
      name: "deployments.cancel",
      summary: "Cancel a deployment that waits or builds",
      input: DeploymentId,
      output: Deployment,
      access: { role: "developer", effect: "write", idempotent: true },
      handler: async (input, { principal }) =>
        deployments.describe(await deployments.cancel(principal.organizationId, input.deployment)),
    }),
  ];
}
