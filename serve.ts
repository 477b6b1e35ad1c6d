// Serves the platform on one machine in the foreground until it is told to stop; `tsdev serve` starts this.
import { parseArgs } from "node:util";
import { openPlatform, type Platform } from "./main.ts";
import { DataDirectory } from "./platform/control-plane/data-directory.ts";
import { TsdevError } from "./sdk/errors.ts";

const { values } = parseArgs({
  options: {
    data: { type: "string", default: ".tsdev" },
    port: { type: "string" },
    json: { type: "boolean", default: false },
  },
});

function refuse(thrown: unknown): never {
  const error = TsdevError.from(thrown);
  if (values.json) process.stderr.write(`${JSON.stringify({ error })}\n`);
  else process.stderr.write(`error ${error.code}: ${error.message}\n  fix: ${error.fix}\n`);
  if (error.code === "internal") console.error(error.cause);
  process.exit(1);
}

const port = values.port === undefined ? undefined : Number(values.port);
if (port !== undefined && !(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
  process.stderr.write(`--port takes a number from 0 to 65535, not ${values.port}\n`);
  process.exit(2);
}

/** SIGTERM and Ctrl-C leave apps and router serving; SIGUSR2 (from `tsdev stop --all`) ends them too. */
const asked = Promise.withResolvers<{ all: boolean }>();
process.on("SIGTERM", () => asked.resolve({ all: false }));
process.on("SIGINT", () => asked.resolve({ all: false }));
process.on("SIGUSR2", () => asked.resolve({ all: true }));

let directory: DataDirectory | undefined;
let platform: Platform;
try {
  directory = await DataDirectory.hold(values.data);
  platform = await openPlatform({ directory, port, env: process.env });
} catch (error) {
  await directory?.release().catch(() => undefined);
  refuse(error);
}

if (values.json) {
  const { pid: _pid, ...address } = platform.address;
  process.stdout.write(`${JSON.stringify(address)}\n`);
} else {
  const { url, mcp, otlp, otlpGrpc, git, token } = platform.address;
  process.stdout.write(
    [
      `tsdev is ready at ${url}`,
      `  dashboard  ${await platform.loginLink()}  (opens once, within ten minutes)`,
      `  MCP        ${mcp}`,
      `  OTLP       ${otlp}  (gRPC ${otlpGrpc})`,
      `  git        ${git}/PROJECT.git`,
      ...(platform.firstStart ? [`  token      ${token}  (shown this once; kept in ${values.data}/owner-token)`] : []),
      `Ctrl-C stops the control plane; apps keep serving. \`npx tsdev stop --all --data ${values.data}\` ends them too.`,
      "",
    ].join("\n"),
  );
}

// one that is asked to stop while it starts stops once it has started, so that nothing is left half done
const { all } = await asked.promise;
try {
  await platform.close({ all });
  process.exit(0);
} catch (error) {
  refuse(error);
}
