// Vitest: unit tests beside the code and whole-system suites under test/.
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["{sdk,platform,analyzers,agents,mcp,cli,test,evals}/**/*.test.ts"],
    exclude: ["**/node_modules/**", "**/dist/**", "test/cluster/**"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: "forks",
    maxWorkers: 2,
  },
});
