// Faces: one Hono app with the HTTP API, MCP, telemetry in, git, the npm endpoint of the SDK and the dashboard.
import { join } from "node:path";
import { Hono } from "hono";
import { Registry } from "prom-client";
import { mcpHttp } from "./mcp/http.ts";
import { httpApi } from "./platform/api/http.ts";
import type { OperationRegistry } from "./platform/api/registry.ts";
import { type SdkRegistryOptions, sdkRegistry } from "./platform/builds/sdk-registry.ts";
import { dashboardPages } from "./platform/control-plane/dashboard-pages.ts";
import type { Deployments } from "./platform/deployments/deployments.ts";
import type { LocalGitHost } from "./platform/git/local-host.ts";
import { gitHttp } from "./platform/git/smart-http.ts";
import type { Audit } from "./platform/identity/audit.ts";
import { type Identity, tokenFrom } from "./platform/identity/identity.ts";
import type { Projects } from "./platform/projects/projects.ts";
import type { MasterKey } from "./platform/secrets/master-key.ts";
import { listenGrpc, type TelemetryGrpc } from "./platform/telemetry/ingest/grpc.ts";
import { telemetryHttp } from "./platform/telemetry/ingest/http.ts";
import type { Ingest } from "./platform/telemetry/ingest/ingest.ts";
import type { Tenant } from "./platform/telemetry/ingest/tables.ts";

export interface FaceParts {
  /** The platform's own folder, which holds the built dashboard. */
  root: string;
  version: string;
  /** The address that people and scripts use. */
  url: () => string;
  registry: OperationRegistry;
  identity: Identity;
  masterKey: MasterKey;
  /** Where telemetry of every face is taken in. */
  telemetry: Ingest;
  /** What Prometheus may scrape, with an owner's token. */
  metrics: Registry;
  /** An environment's own metrics in Prometheus's text format. */
  environmentMetrics(tenant: Tenant): Promise<string>;
  git: LocalGitHost;
  deployments: Deployments;
  projects: Projects;
  audit: Audit;
  sdk: SdkRegistryOptions;
}

export interface Faces {
  app: Hono;
  /** OTLP over HTTP alone, which is also served on its standard port. */
  ingest: Hono;
  /** Serves OTLP over gRPC on a port of its own, or the next free one. */
  listenGrpc(port: number): Promise<TelemetryGrpc>;
}

export function mountFaces(parts: FaceParts): Faces {
  const { registry, identity, masterKey, version, url } = parts;
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/readyz", (c) => c.json({ status: "ready" }));
  app.get("/metrics", async (c) => {
    const token = tokenFrom(c.req.header("authorization"));
    const principal = token ? await identity.principalOf(token) : null;
    // They tell of all organizations together.
    if (principal?.role !== "owner") {
      return c.text("send the token of an owner: Authorization: Bearer TOKEN\n", principal ? 403 : 401);
    }
    return c.text(await parts.metrics.metrics(), 200, { "Content-Type": parts.metrics.contentType });
  });
  app.get("/metrics/environment", async (c) => {
    const token = tokenFrom(c.req.header("authorization"));
    const scope = token ? identity.ingestScope(token) : null;
    if (!scope) return c.text("send the token of an environment: Authorization: Bearer TOKEN\n", 401);
    return c.text(await parts.environmentMetrics(scope), 200, { "Content-Type": Registry.PROMETHEUS_CONTENT_TYPE });
  });
  app.route("/api/v1", httpApi({ registry, identity, url, version }));
  app.route("/mcp", mcpHttp({ registry, identity, masterKey, version, url }));
  const senders = {
    ingest: parts.telemetry,
    authenticate: async (authorization: string | undefined) => {
      const token = tokenFrom(authorization);
      return token ? identity.ingestScope(token) : null;
    },
  };
  const ingest = telemetryHttp(senders);
  app.route("/", ingest);
  app.route("/npm", sdkRegistry(parts.sdk));
  app.route(
    "/git",
    gitHttp({
      host: parts.git,
      authenticate: (token) => identity.principalOf(token),
      onPush: async ({ project, branch, before, after, message, principal }) => {
        const made = await parts.deployments.onPush({
          organizationId: project.organizationId,
          project: project.name,
          branch,
          before,
          after,
          message,
          pushedBy: principal.id,
          cause: "push",
        });
        await parts.audit({
          principal,
          operation: "git.push",
          face: "git",
          input: { project: project.name, branch, before, after },
          outcome: "done",
          errorCode: null,
        });
        if (made.length > 0) {
          return made.map(({ id }) => `deployment ${id} is queued, follow it at ${url()}/deployments/${id}`);
        }
        const { environments } = await parts.projects.get(project.organizationId, project.name);
        return nothingDeployed(project.name, branch, environments);
      },
    }),
  );
  app.route("/", dashboardPages(join(parts.root, "dashboard/dist")));
  return { app, ingest, listenGrpc: (port) => listenGrpc({ ...senders, port, orNextFree: true }) };
}

function nothingDeployed(project: string, branch: string, environments: { name: string; branch: string }[]): string[] {
  // a push that is known already, or a branch of ours
  if (environments.some((one) => one.branch === branch) || branch.startsWith("tsdev/")) return [];
  const followed = environments.map((one) => `${one.branch} (${one.name})`).join(" or ");
  return [`no environment of ${project} follows the branch ${branch}, so nothing is deployed; push to ${followed}`];
}
