// Vitest: unit tests beside the code run two files at a time; then the whole-system suites of test/, one after the other.
import { defineConfig } from "vitest/config";

const exclude = ["**/node_modules/**", "**/dist/**", "examples/**", "cli/init/app/**", "test/cluster/**"];
const limits = { testTimeout: 60_000, hookTimeout: 120_000, pool: "forks" as const };

export default defineConfig({
  test: {
    reporters: ["default", "./test/closing-line-reporter.ts"],
    maxWorkers: 2,
    projects: [
      {
        test: {
          ...limits,
          name: "unit",
          include: ["{sdk,platform,analyzers,agents,mcp,cli,client,dashboard,demo,evals}/**/*.test.ts"],
          exclude,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...limits,
          name: "system",
          include: ["test/**/*.test.ts"],
          exclude,
          // proofs measure time, so nothing else may run beside them
          maxWorkers: 1,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
