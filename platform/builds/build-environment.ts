// Build environment: what install and build scripts see; nothing of production and nothing of the control plane.

/** Settings of npm that reach the registry; a machine may need them. */
const npmSettings =
  /^npm_config_(registry|cafile|cache|userconfig|globalconfig|https?_proxy|proxy|noproxy|strict_ssl)$/i;
const inherited = new Set([
  "HOME",
  "USER",
  "LANG",
  "LC_ALL",
  "TZ",
  "TMPDIR",
  "SSL_CERT_FILE",
  "NODE_EXTRA_CA_CERTS",
  "HTTP_PROXY",
  "HTTPS_PROXY",
  "NO_PROXY",
  "http_proxy",
  "https_proxy",
  "no_proxy",
]);

/** The variables for an install or build script. `nodeFolder` is put first on the PATH; `sdkRegistry` serves `@tsdev/*`. */
export function buildEnvironment(parts: {
  from: NodeJS.ProcessEnv;
  nodeFolder: string;
  sdkRegistry: string | null;
}): Record<string, string> {
  const env: Record<string, string> = { CI: "true", NO_COLOR: "1", FORCE_COLOR: "0" };
  for (const [name, value] of Object.entries(parts.from)) {
    if (value !== undefined && (inherited.has(name) || npmSettings.test(name))) env[name] = value;
  }
  const path = (parts.from.PATH ?? "/usr/local/bin:/usr/bin:/bin")
    .split(":")
    .filter((folder) => !folder.includes("node_modules/.bin") && !folder.includes("node-gyp-bin"));
  env.PATH = [parts.nodeFolder, ...path].join(":");
  env.npm_config_audit = "false";
  env.npm_config_fund = "false";
  env.npm_config_update_notifier = "false";
  env.npm_config_prefer_offline = "true";
  // yarn from its second version on would else put dependencies where Node alone does not find them
  env.YARN_NODE_LINKER = "node-modules";
  env.YARN_ENABLE_TELEMETRY = "0";
  if (parts.sdkRegistry) env["npm_config_@tsdev:registry"] = parts.sdkRegistry;
  return env;
}
