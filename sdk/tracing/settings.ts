// Settings of the register, read once from the environment.
import { realpathSync } from "node:fs";
import type { SiteMode } from "./site-policy.ts";

export interface Settings {
  /** False with OTEL_SDK_DISABLED=true. */
  tracing: boolean;
  /** Without the signal's path, for example `http://127.0.0.1:4318`. */
  endpoint: string;
  headers: Record<string, string>;
  resource: Record<string, string>;
  /** OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. */
  sampler: { name: string | undefined; argument: string | undefined };
  /** TSDEV_CALL_SITES; without it `always` in development and `repeats` elsewhere. */
  callSites: SiteMode;
  /** Paths of call sites are relative to this folder. */
  root: string;
  /** False with TSDEV_RECORD=off and while replaying. */
  recording: boolean;
  /** Routes that are never recorded; a trailing `*` stands for anything. */
  recordExclude: string[];
  /** `on` is false with OTEL_METRICS_EXPORTER=none and while replaying; OTEL_METRIC_EXPORT_INTERVAL, by default 15,000. */
  metrics: { on: boolean; everyMs: number };
  replay: ReplaySettings | undefined;
}

export interface ReplaySettings {
  /** Where every outgoing HTTP request goes instead. */
  sink: URL;
  /** `host:port` or the path of a unix socket (or of its folder) that may be connected to directly. */
  allow: string[];
  deterministic: boolean;
}

export function readSettings(env: NodeJS.ProcessEnv): Settings {
  const replay = readReplay(env);
  return {
    tracing: env.OTEL_SDK_DISABLED?.toLowerCase() !== "true",
    endpoint: (env.OTEL_EXPORTER_OTLP_ENDPOINT || "http://localhost:4318").replace(/\/+$/, ""),
    headers: pairs(env.OTEL_EXPORTER_OTLP_HEADERS),
    resource: resourceAttributes(env),
    sampler: { name: env.OTEL_TRACES_SAMPLER, argument: env.OTEL_TRACES_SAMPLER_ARG },
    callSites: siteMode(env),
    root: realFolder(env.TSDEV_ROOT || process.cwd()),
    recording: env.TSDEV_RECORD !== "off" && replay === undefined,
    recordExclude: list(env.TSDEV_RECORD_EXCLUDE),
    metrics: {
      on: env.OTEL_METRICS_EXPORTER !== "none" && replay === undefined,
      everyMs: interval(env.OTEL_METRIC_EXPORT_INTERVAL),
    },
    replay,
  };
}

function interval(text: string | undefined): number {
  const ms = Number(text);
  return Number.isInteger(ms) && ms > 0 && ms < 2 ** 31 ? ms : 15_000;
}

function siteMode(env: NodeJS.ProcessEnv): SiteMode {
  if (env.TSDEV_CALL_SITES === "always" || env.TSDEV_CALL_SITES === "repeats") return env.TSDEV_CALL_SITES;
  return env.TSDEV_ENVIRONMENT === "development" ? "always" : "repeats";
}

function readReplay(env: NodeJS.ProcessEnv): ReplaySettings | undefined {
  if (!env.TSDEV_REPLAY_URL) return undefined;
  return {
    sink: new URL(env.TSDEV_REPLAY_URL),
    allow: list(env.TSDEV_REPLAY_ALLOW),
    deterministic: env.TSDEV_REPLAY_DETERMINISTIC === "1",
  };
}

function resourceAttributes(env: NodeJS.ProcessEnv): Record<string, string> {
  const attributes: Record<string, string> = {
    "service.name": "unknown_service:node",
    "process.runtime.name": "nodejs",
    "process.runtime.version": process.versions.node,
    "telemetry.sdk.language": "nodejs",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.distro.name": "tsdev",
    ...pairs(env.OTEL_RESOURCE_ATTRIBUTES),
  };
  if (env.OTEL_SERVICE_NAME) attributes["service.name"] = env.OTEL_SERVICE_NAME;
  if (env.TSDEV_PROJECT) attributes["tsdev.project"] = env.TSDEV_PROJECT;
  if (env.TSDEV_ENVIRONMENT) attributes["tsdev.environment"] = env.TSDEV_ENVIRONMENT;
  if (env.TSDEV_DEPLOYMENT) attributes["tsdev.deployment"] = env.TSDEV_DEPLOYMENT;
  if (env.TSDEV_COMMIT) attributes["vcs.ref.head.revision"] = env.TSDEV_COMMIT;
  return attributes;
}

/** `a=1,b=2` with percent-encoded values, as OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS have it. */
function pairs(text: string | undefined): Record<string, string> {
  const result: Record<string, string> = {};
  for (const pair of list(text)) {
    const equals = pair.indexOf("=");
    if (equals <= 0) continue;
    const value = pair.slice(equals + 1).trim();
    try {
      result[pair.slice(0, equals).trim()] = decodeURIComponent(value);
    } catch {
      result[pair.slice(0, equals).trim()] = value;
    }
  }
  return result;
}

function list(text: string | undefined): string[] {
  return (text ?? "")
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

// Modules are known by their real path, so a root that is a link must be resolved as well.
function realFolder(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
