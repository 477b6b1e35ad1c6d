// Participant: one engine in a process of its own, told by its parent what to run, so that rounds can be interleaved.

/** Runs as many runs at once, each of as many steps one after the other. `run` is unique. */
export interface Engine {
  /** Resolves when the run has ended. `mark` is called by every step as the first thing it does. */
  run(run: string, steps: number): Promise<void>;
  close(): Promise<void>;
}

/** Called by a step: tells the time at which it began. */
export type Mark = (run: string) => void;

export interface Request {
  id: number;
  kind: "steps" | "first-step";
  runs: number;
  steps: number;
}

export interface Answer {
  id: number;
  /** Of all steps, from the first start to the last end, milliseconds. */
  wallMs: number;
  /** Processor time of this process, microseconds. */
  cpuUs: number;
  /** Time between the beginnings of two steps in a row, milliseconds, for every run, in order. */
  gaps: number[][];
  /** From the call to the beginning of the first step, milliseconds, for every run. */
  toFirstStep: number[];
}

/** Answers the parent's requests until it says goodbye. */
export async function participate(open: (mark: Mark) => Promise<Engine>): Promise<void> {
  const marks = new Map<string, number[]>();
  const engine = await open((run) => {
    const times = marks.get(run);
    if (times) times.push(performance.now());
    else marks.set(run, [performance.now()]);
  });
  let series = 0;
  process.on("message", async (request: Request | "end") => {
    if (request === "end") {
      await engine.close();
      process.exit(0);
    }
    marks.clear();
    const name = `${process.pid}-${series++}`;
    const began: number[] = [];
    const one = async (index: number) => {
      began[index] = performance.now();
      await engine.run(`${name}-${index}`, request.steps);
    };
    const cpu = process.cpuUsage();
    const start = performance.now();
    const indexes = Array.from({ length: request.runs }, (_, index) => index);
    if (request.kind === "steps") await Promise.all(indexes.map(one));
    else for (const index of indexes) await one(index);
    const wallMs = performance.now() - start;
    const used = process.cpuUsage(cpu);
    const times = indexes.map((index) => marks.get(`${name}-${index}`) ?? []);
    const answer: Answer = {
      id: request.id,
      wallMs,
      cpuUs: used.user + used.system,
      gaps: times.map((list) => list.slice(1).map((time, index) => time - list[index]!)),
      toFirstStep: times.map((list, index) => list[0]! - began[index]!),
    };
    process.send?.(answer);
  });
  process.send?.("ready");
}
