// Reporter: ends a run with one plain line that counts its tests, for scripts and CI.
import type { Reporter, TestModule } from "vitest/node";

export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) counts[test.result().state] += 1;
      // a file that could not be loaded has no tests to count, and is a failure all the same
      if (module.state() === "failed" && [...module.children.allTests("failed")].length === 0) counts.failed += 1;
    }
    if (errors.length > 0 && counts.failed === 0) counts.failed = errors.length;
    const skipped = counts.skipped + counts.pending;
    const line = `${counts.passed} passed, ${counts.failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
    // after the default reporter's own summary
    process.once("exit", () => process.stdout.write(`${line}\n`));
  }
}
