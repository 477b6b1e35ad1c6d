// Instance environment: the variables a deployed app gets, as `docs/reference/app-contract.md` lists them.
import type { ReleaseConfig } from "../builds/release.ts";

export interface InstanceEnvironmentParts {
  variables: { name: string; value: string }[];
  config: ReleaseConfig;
  databaseUrl: string | null;
  otlp: { endpoint: string; token: string };
  registerUrl: string;
  /** Folder where Node keeps compiled code, so that the next instance starts faster. */
  compileCache: string;
  project: string;
  environment: string;
  deployment: string;
  commit: string;
  folder: string;
}

/** Variables of the environment first, then what the platform sets, which wins. PORT is set by the runtime. */
export function instanceEnvironment(parts: InstanceEnvironmentParts): Record<string, string> {
  const env: Record<string, string> = Object.fromEntries(parts.variables.map(({ name, value }) => [name, value]));
  env.NODE_ENV ??= "production";
  if (parts.databaseUrl) env.DATABASE_URL = parts.databaseUrl;
  env.OTEL_SERVICE_NAME = parts.config.service;
  env.OTEL_EXPORTER_OTLP_ENDPOINT = parts.otlp.endpoint;
  env.OTEL_EXPORTER_OTLP_HEADERS = `authorization=Bearer ${parts.otlp.token}`;
  env.TSDEV_PROJECT = parts.project;
  env.TSDEV_ENVIRONMENT = parts.environment;
  env.TSDEV_DEPLOYMENT = parts.deployment;
  env.TSDEV_COMMIT = parts.commit;
  env.TSDEV_ROOT = parts.folder;
  if (parts.config.replay.exclude.length > 0) env.TSDEV_RECORD_EXCLUDE = parts.config.replay.exclude.join(",");
  env.NODE_COMPILE_CACHE ??= parts.compileCache;
  if (parts.config.trace) env.NODE_OPTIONS = `--import ${parts.registerUrl}`;
  return env;
}
