// Phases: runs the demo's steps one after the other, live on a terminal and as plain lines on stderr elsewhere.
import { Listr, PRESET_TIMER } from "listr2";
import { say } from "../cli/output.ts";

export interface Phase {
  title: string;
  run: (tell: (message: string) => void) => Promise<unknown>;
}

const longestLine = 100;
const plainEveryMs = 2000;

/** Stops at the first phase that fails and throws what it threw. */
export async function runPhases(options: { plain: boolean }, phases: Phase[]): Promise<void> {
  if (options.plain) return runPlainly(phases);
  const tasks = phases.map(({ title, run }) => ({
    title,
    task: (_context: unknown, task: { output: string }) =>
      run((message) => {
        task.output = clip(message);
      }).then(() => undefined),
  }));
  await new Listr(tasks, { registerSignalListeners: false, rendererOptions: { timer: PRESET_TIMER } }).run();
}

async function runPlainly(phases: Phase[]): Promise<void> {
  for (const { title, run } of phases) {
    const started = performance.now();
    let told = started;
    say(`… ${title}`);
    await run((message) => {
      if (performance.now() - told < plainEveryMs) return;
      told = performance.now();
      say(`    ${clip(message)}`);
    });
    say(`✓ ${title} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  }
}

/** One line, short enough for a terminal. */
function clip(message: string): string {
  const line = message.split("\n")[0] ?? "";
  return line.length > longestLine ? `${line.slice(0, longestLine - 1)}…` : line;
}
