// The variables of an instance: exactly those of the contract, the platform's own winning over the user's.
import { expect, test } from "vitest";
import { instanceEnvironment } from "./instance-environment.ts";

const parts = {
  variables: [
    { name: "API_URL", value: "https://api.example" },
    { name: "TSDEV_PROJECT", value: "not this" },
  ],
  config: {
    service: "shop",
    start: "node main.js",
    health: null,
    database: "postgres" as const,
    trace: true,
    replay: { exclude: [] as string[], normalise: [] },
  },
  databaseUrl: "postgres://app:pw@localhost/app",
  otlp: { endpoint: "http://127.0.0.1:3200", token: "tsi_x.y" },
  registerUrl: "file:///platform/sdk/register.ts",
  compileCache: "/data/cache/compiled",
  project: "demo",
  environment: "production",
  deployment: "dep_1",
  commit: "a".repeat(40),
  folder: "/data/releases/1",
} as unknown as Parameters<typeof instanceEnvironment>[0];

test("is this list and nothing else", () => {
  expect(instanceEnvironment(parts)).toEqual({
    API_URL: "https://api.example",
    NODE_ENV: "production",
    DATABASE_URL: "postgres://app:pw@localhost/app",
    OTEL_SERVICE_NAME: "shop",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:3200",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer tsi_x.y",
    TSDEV_PROJECT: "demo",
    TSDEV_ENVIRONMENT: "production",
    TSDEV_DEPLOYMENT: "dep_1",
    TSDEV_COMMIT: "a".repeat(40),
    TSDEV_ROOT: "/data/releases/1",
    NODE_COMPILE_CACHE: "/data/cache/compiled",
    NODE_OPTIONS: "--import file:///platform/sdk/register.ts",
  });
});

test("has no tracing hook where that is off, no database where none is asked for, and what is not recorded", () => {
  const config = { ...parts.config, trace: false, replay: { exclude: ["/login", "/pay"], normalise: [] } };
  const env = instanceEnvironment({ ...parts, config, databaseUrl: null });
  expect(env.NODE_OPTIONS).toBeUndefined();
  expect(env.DATABASE_URL).toBeUndefined();
  expect(env.TSDEV_RECORD_EXCLUDE).toBe("/login,/pay");
});

test("leaves NODE_ENV to the user", () => {
  const variables = [{ name: "NODE_ENV", value: "staging" }];
  expect(instanceEnvironment({ ...parts, variables }).NODE_ENV).toBe("staging");
});
