// Fixture: the part of an engine that triggers use, where begun runs are only written down. It lets a test see each start,
// fail it or stop it half-way, and move the clock; what a whole engine makes of triggers is in engine.test.ts.
import type { Engine, RunOrigin, StartOptions } from "../engine/engine.ts";
import { TsdevError } from "../errors.ts";
import type { AnyWorkflow } from "../workflows/definition.ts";

export interface BegunRun {
  readonly runId: string;
  readonly workflow: string;
  readonly input: unknown;
  readonly origin: RunOrigin | undefined;
  readonly options: StartOptions;
  /** What the clock said. */
  readonly at: Date;
  /** How often it was asked to begin. */
  starts: number;
}

export class BegunRuns {
  readonly runs = new Map<string, BegunRun>();
  readonly cursors = new Map<string, string>();
  now: () => Date = () => new Date();

  /** An engine of its own for each process that the test plays; all share what is written down. */
  engine(before: (what: "start" | "moveCursor" | "now", id: string) => Promise<void> | void = () => {}): Engine {
    return {
      durable: false,
      start: async (workflow: AnyWorkflow, input: unknown, options: StartOptions = {}) => {
        const runId = options.runId!;
        await before("start", runId);
        // As the engine does: what does not fit the contract is never begun.
        const parsed = workflow.input.safeParse(input);
        if (!parsed.success) {
          throw new TsdevError("invalid_input", { message: "the input does not fit", fix: "send what fits" });
        }
        const there = this.runs.get(runId);
        if (there) there.starts++;
        else {
          const { name } = workflow;
          const { origin } = options;
          this.runs.set(runId, { runId, workflow: name, input, origin, options, at: this.now(), starts: 1 });
        }
        return { runId };
      },
      run: async (runId: string) => this.runs.get(runId),
      cursor: async (name: string) => this.cursors.get(name) ?? null,
      moveCursor: async (name: string, from: string | null, to: string) => {
        await before("moveCursor", name);
        if ((this.cursors.get(name) ?? null) !== from) return false;
        this.cursors.set(name, to);
        return true;
      },
      now: async () => {
        await before("now", "");
        return this.now();
      },
    } as unknown as Engine;
  }
}
