// Runs statements on chDB and tells their time and the CPU time of the whole process, which is the engine's.
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { openEmbeddedEngine } from "../../platform/telemetry/embedded-engine.ts";

export interface Cost {
  ms: number;
  cpuMs: number;
}

export class Bench {
  readonly #engine: Awaited<ReturnType<typeof openEmbeddedEngine>>;
  readonly #directory: string;

  private constructor(engine: Awaited<ReturnType<typeof openEmbeddedEngine>>, directory: string) {
    this.#engine = engine;
    this.#directory = directory;
  }

  /** In a fresh folder of `TSDEV_BENCH_DIR`, or of the working directory: temporary folders may lie in memory. */
  static async open(): Promise<Bench> {
    const directory = await mkdtemp(join(process.env.TSDEV_BENCH_DIR ?? process.cwd(), ".bench-telemetry-"));
    return new Bench(await openEmbeddedEngine(directory), directory);
  }

  get engine(): Awaited<ReturnType<typeof openEmbeddedEngine>> {
    return this.#engine;
  }

  command(sql: string): Promise<Cost> {
    return cost(() => this.#engine.command(sql));
  }

  async rows<Row>(sql: string): Promise<Row[]> {
    return JSON.parse(await this.#engine.select(sql, {})) as Row[];
  }

  async query(sql: string): Promise<Cost & { rows: number }> {
    let text = "";
    const spent = await cost(async () => {
      text = await this.#engine.select(sql, {});
    });
    return { ...spent, rows: (JSON.parse(text) as unknown[]).length };
  }

  /** Waits until the merges of what was inserted are done: they would be counted as the questions' CPU. */
  async settled(): Promise<void> {
    const running = async () =>
      Number((await this.rows<{ n: number }>("SELECT count() AS n FROM system.merges"))[0]!.n);
    for (let quiet = 0; quiet < 3; quiet = (await running()) === 0 ? quiet + 1 : 0) await delay(500);
  }

  async close(): Promise<void> {
    await this.#engine.close();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function cost(work: () => Promise<unknown>): Promise<Cost> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(before);
  return { ms: performance.now() - start, cpuMs: (user + system) / 1_000 };
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
