// Register: `node --import @tsdev/sdk/register app.js` traces and records any Node app, and never makes it fail.
import { basename } from "node:path";

const started = Symbol.for("tsdev.register");
const packageManagers = new Set(["npm", "npm-cli", "npx", "npx-cli", "pnpm", "pnpx", "yarn", "corepack", "node-gyp"]);

// NODE_OPTIONS reaches the package manager that runs the start script as well; only the app is of interest.
function isPackageManager(): boolean {
  return packageManagers.has(basename(process.argv[1] ?? "").replace(/\.[cm]?js$/, ""));
}

const registered = globalThis as { [started]?: boolean };
if (!registered[started] && !isPackageManager()) {
  Object.defineProperty(registered, started, { value: true });
  try {
    const { readSettings } = await import("./tracing/settings.ts");
    const settings = readSettings(process.env);
    // Loading the parts is most of what starting costs.
    if (settings.tracing || settings.replay) {
      const { start } = await import("./tracing/start.ts");
      await start(settings);
    }
  } catch (error) {
    process.stderr.write(`tsdev: tracing is off: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}
