// Supervisor: keeps workers alive that it kills and freezes at random.
import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type Outage, steadyNow } from "./effects.ts";

interface Worker {
  readonly name: string;
  readonly child: ChildProcess;
  frozen: boolean;
  /** It has begun to work: a machine that is busy would else see only processes that are killed while they load. */
  ready: boolean;
  killed: boolean;
}

export class Supervisor {
  readonly #env: Readonly<Record<string, string>>;
  readonly #random: () => number;
  readonly #workers = new Set<Worker>();
  readonly #stop = new AbortController();
  readonly frozen: Outage[] = [];
  kills = 0;
  suicides = 0;
  #count = 0;
  #calm = false;

  constructor(env: Readonly<Record<string, string>>, random: () => number) {
    this.#env = env;
    this.#random = random;
  }

  start(workers: number): void {
    for (let index = 0; index < workers; index++) this.#spawn();
  }

  /** Kills one every 0.3 to 2 s and freezes one every 2 to 5 s, until `calm`. */
  harass(leaseMs: number): void {
    void this.#every(300, 2_000, async () => {
      const worker = this.#pick();
      if (!worker) return;
      this.kills++;
      worker.killed = true;
      worker.child.kill("SIGKILL");
    });
    void this.#every(2_000, 5_000, async () => {
      const worker = this.#pick();
      if (!worker) return;
      const from = steadyNow();
      worker.frozen = true;
      worker.child.kill("SIGSTOP");
      await sleep(leaseMs + 300 + this.#random() * 1_500);
      worker.child.kill("SIGCONT");
      worker.frozen = false;
      this.frozen.push({ worker: worker.name, from, to: steadyNow() });
    });
  }

  /** Kills all and starts workers that nothing happens to. */
  async calm(workers: number): Promise<void> {
    await this.end();
    this.#calm = true;
    this.start(workers);
  }

  async end(): Promise<void> {
    this.#stop.abort();
    const ended = [...this.#workers].map(({ child }) => new Promise((resolve) => child.once("exit", resolve)));
    for (const { child } of this.#workers) child.kill("SIGKILL");
    this.#workers.clear();
    await Promise.all(ended);
  }

  #spawn(): void {
    const name = `worker-${++this.#count}`;
    const hazards = this.#calm
      ? { SUICIDES: "0", CRON: "0", CLOCK_JUMPS: "0" }
      : { SUICIDES: "0.004", CRON: "1", CLOCK_JUMPS: this.#random() < 0.5 ? "1" : "0" };
    const child = fork(fileURLToPath(new URL("./worker.ts", import.meta.url)), [], {
      env: { ...process.env, ...this.#env, ...hazards, WORKER: name },
      execArgv: ["--import", new URL("./jumping-clock.ts", import.meta.url).href],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const worker: Worker = { name, child, frozen: false, ready: false, killed: false };
    child.once("message", () => {
      worker.ready = true;
    });
    this.#workers.add(worker);
    child.once("exit", () => {
      if (!this.#workers.delete(worker)) return;
      if (!worker.killed && child.signalCode === "SIGKILL") this.suicides++;
      this.#spawn();
    });
  }

  #pick(): Worker | undefined {
    const awake = [...this.#workers].filter(({ frozen, ready }) => ready && !frozen);
    return awake[Math.floor(this.#random() * awake.length)];
  }

  async #every(lowMs: number, highMs: number, act: () => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleep(lowMs + this.#random() * (highMs - lowMs), undefined, { signal }).catch(() => {});
      if (!signal.aborted) await act();
    }
  }
}
