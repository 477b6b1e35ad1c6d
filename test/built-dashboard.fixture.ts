// For tests: builds the dashboard when its sources are newer than what is built.
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const dashboard = join(dirname(fileURLToPath(import.meta.url)), "../dashboard");

export async function buildDashboard(): Promise<void> {
  const built = await stat(join(dashboard, "dist/index.html")).catch(() => null);
  const sources = await readdir(join(dashboard, "src"), { recursive: true, withFileTypes: true });
  const paths = sources.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files = await Promise.all([...paths, join(dashboard, "vite.config.ts")].map((path) => stat(path)));
  const newest = Math.max(...files.map((file) => file.mtimeMs));
  if (built && built.mtimeMs > newest) return;
  await build({ configFile: join(dashboard, "vite.config.ts"), logLevel: "error", mode: "production" });
}
