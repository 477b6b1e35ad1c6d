// Benchmark of workflows: our engine in memory and durable, against DBOS Transact on the same Postgres and Restate.
import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { type PostgresFixture, startPostgres } from "../sdk/engine/postgres.fixture.ts";
import { type Measured, ratioOf } from "./measured.ts";
import type { Answer, Request } from "./workflow/participant.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const rounds = 5;
const name = { dbos: "DBOS Transact 5.3.0, same Postgres", restate: "Restate 1.7.12, its own log" } as const;

class Participant {
  readonly #child: ChildProcess;
  #next = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(file: string, env: Record<string, string>): Promise<Participant> {
    const { DATABASE_URL: _, NODE_OPTIONS: __, ...inherited } = process.env;
    const child = fork(path(file), {
      env: { ...inherited, RESTATE_LOGGING: "ERROR", ...env },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", (code) => reject(new Error(`${file} ended with ${code}`)));
    });
    return new Participant(child);
  }

  ask(request: Omit<Request, "id">): Promise<Answer> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`a participant ended with ${code}`));
      this.#child.once("exit", ended);
      this.#child.once("message", (answer: Answer) => {
        this.#child.off("exit", ended);
        resolve(answer);
      });
      this.#child.send({ id, ...request });
    });
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.send("end");
    await ended;
  }
}

const p95 = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * 0.95)] ?? Number.NaN;
/** Numbers by party. */
class Samples {
  readonly #lists = new Map<string, number[]>();

  add(party: string, ...values: number[]): void {
    const list = this.#lists.get(party);
    if (list) list.push(...values);
    else this.#lists.set(party, values);
  }

  of(party: string): number[] {
    return this.#lists.get(party) ?? [];
  }
}

const gapsOf = ({ gaps }: Answer) => gaps.flat();

/** Steps a second of so many runs at once. */
async function throughput(parties: Record<string, Participant>): Promise<Measured[]> {
  const rows: Measured[] = [];
  for (const [runs, steps] of [
    [1, 300],
    [10, 100],
    [100, 30],
  ] as const) {
    const [rates, gaps] = [new Samples(), new Samples()];
    for (let round = 0; round <= rounds; round++) {
      for (const [party, participant] of Object.entries(parties)) {
        const answer = await participant.ask({ kind: "steps", runs, steps });
        // the first round warms up
        if (round === 0) continue;
        rates.add(party, (runs * steps * 1_000) / answer.wallMs);
        gaps.add(party, ...gapsOf(answer));
      }
    }
    for (const rival of ["dbos", "restate"] as const) {
      const of = (samples: Samples) => ({ ours: samples.of("ours"), rival: samples.of(rival) });
      const parts = { rivalName: name[rival] };
      rows.push(ratioOf({ name: `steps a second, ${runs} runs at once`, unit: "1/s", ...parts, ...of(rates) }));
      rows.push(ratioOf({ name: `a step, ${runs} runs at once`, unit: "ms", ...parts, ...of(gaps) }));
      rows.push({
        ...ratioOf({
          name: `a step, 95th percentile, ${runs} runs at once`,
          unit: "ms",
          ...parts,
          ours: [p95(gaps.of("ours"))],
          rival: [p95(gaps.of(rival))],
        }),
        n: gaps.of("ours").length,
      });
    }
  }
  return rows;
}

/** The cost of a step as one run grows. */
async function growth(parties: Record<string, Participant>): Promise<Measured[]> {
  const rows: Measured[] = [];
  const steps = 10_000;
  const gaps: Record<string, number[]> = {};
  for (const party of ["ours", "dbos"]) {
    gaps[party] = gapsOf(await parties[party]!.ask({ kind: "steps", runs: 1, steps }));
  }
  for (const at of [10, 100, 1_000, 10_000]) {
    // around the tenth step five on each side, around the ten-thousandth the last five hundred
    const width = Math.max(5, at / 20);
    const around = (list: number[]) => list.slice(Math.max(0, at - width), at + width);
    rows.push(
      ratioOf({
        name: `a step, at step ${at} of ${steps}`,
        unit: "ms",
        rivalName: name.dbos,
        ours: around(gaps.ours!),
        rival: around(gaps.dbos!),
      }),
    );
  }
  return rows;
}

async function firstStep(parties: Record<string, Participant>): Promise<Measured[]> {
  const times = new Samples();
  for (let round = 0; round <= rounds; round++) {
    for (const [party, participant] of Object.entries(parties)) {
      const { toFirstStep } = await participant.ask({ kind: "first-step", runs: 50, steps: 1 });
      if (round > 0) times.add(party, ...toFirstStep);
    }
  }
  return (["dbos", "restate"] as const).map((rival) =>
    ratioOf({
      name: "from the start of a run to its first step",
      unit: "ms",
      rivalName: name[rival],
      ours: times.of("ours"),
      rival: times.of(rival),
    }),
  );
}

/** Runs a second of a workflow with three steps, a hundred at once. */
async function runs(parties: Record<string, Participant>): Promise<Measured[]> {
  const rates = new Samples();
  for (let round = 0; round <= rounds; round++) {
    for (const [party, participant] of Object.entries(parties)) {
      const { wallMs } = await participant.ask({ kind: "steps", runs: 100, steps: 3 });
      if (round > 0) rates.add(party, 100_000 / wallMs);
    }
  }
  return (["dbos", "restate"] as const).map((rival) =>
    ratioOf({
      name: "runs of three steps a second, 100 at once",
      unit: "1/s",
      rivalName: name[rival],
      ours: rates.of("ours"),
      rival: rates.of(rival),
    }),
  );
}

/** Processor time of a step in memory, against the limit that the design sets. */
async function inMemory(): Promise<Measured[]> {
  const memory = await Participant.start("workflow/ours.ts", {});
  try {
    const rows: Measured[] = [];
    for (const [runs, steps] of [
      [1, 10_000],
      [10, 1_000],
      [100, 100],
    ] as const) {
      const cpu: number[] = [];
      for (let round = 0; round <= rounds; round++) {
        const { cpuUs } = await memory.ask({ kind: "steps", runs, steps });
        if (round > 0) cpu.push(cpuUs / (runs * steps));
      }
      rows.push(
        ratioOf({
          name: `processor time of a step in memory, ${runs} runs at once`,
          unit: "us",
          rivalName: "limit of 20 us",
          ours: cpu,
          rival: [20],
        }),
      );
    }
    return rows;
  } finally {
    await memory.end();
  }
}

export async function workflow(): Promise<Measured[]> {
  if (!existsSync(path("rivals/node_modules"))) {
    process.stderr.write("installing the engines to measure against\n");
    await execa("npm", ["ci", "--ignore-scripts"], { cwd: path("rivals"), stdout: 2, stderr: 2 });
  }
  const rows = await inMemory();
  const postgres: PostgresFixture = await startPostgres();
  const parties: Record<string, Participant> = {};
  try {
    parties.ours = await Participant.start("workflow/ours.ts", { DATABASE_URL: await postgres.database() });
    parties.dbos = await Participant.start("rivals/dbos.ts", { DATABASE_URL: await postgres.database() });
    parties.restate = await Participant.start("rivals/restate.ts", {});
    for (const measure of [throughput, runs, firstStep, growth]) {
      process.stderr.write(`measuring ${measure.name}\n`);
      rows.push(...(await measure(parties)));
    }
  } finally {
    for (const participant of Object.values(parties)) await participant.end();
    await postgres.stop();
  }
  return rows;
}
