// The part of the control plane's environment that a process of an app may see.
import { delimiter, dirname, join } from "node:path";

const passed = ["PATH", "HOME", "TMPDIR", "LANG", "TZ"] as const;

/** PATH, HOME, TMPDIR, LANG and TZ and nothing else; with our Node, and the folder's own commands, first in PATH. */
export function inheritedEnvironment(nodePath: string, folder?: string): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of passed) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  const first = folder === undefined ? [] : [join(folder, "node_modules", ".bin")];
  env.PATH = [...first, dirname(nodePath), env.PATH ?? "/usr/local/bin:/usr/bin:/bin"].join(delimiter);
  return env;
}
