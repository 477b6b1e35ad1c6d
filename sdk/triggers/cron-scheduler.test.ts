// The scheduler of crons: a scheduled time is one run, never early, whatever clocks, databases and processes do.
import { afterEach, expect, test } from "vitest";
import { z } from "zod";
import type { Log } from "../log.ts";
import { procedure } from "../procedures/procedure.ts";
import { workflow } from "../workflows/workflow.ts";
import { BegunRuns } from "./begun-runs.fixture.ts";
import { TestClock } from "./clock.fixture.ts";
import { cron } from "./cron.ts";
import { pick, scheduleCrons } from "./cron-scheduler.ts";
import type { CronTrigger } from "./trigger.ts";

const count = procedure({
  name: "count",
  input: z.object({ at: z.string() }),
  output: z.object({ counted: z.boolean() }),
  handler: () => ({ counted: true }),
});
const report = workflow("report")
  .input(z.object({ at: z.string() }))
  .step(count);

function every(schedule: string, more: Partial<CronTrigger> = {}): CronTrigger {
  const input = (at: Date) => ({ at: at.toISOString() });
  return cron({ name: "c", schedule, workflow: report, input, ...(more as object) });
}

const stopping: AbortController[] = [];
afterEach(() => {
  for (const one of stopping.splice(0)) one.abort();
});

/** A scheduler as a process of its own. */
function scheduler(
  begun: BegunRuns,
  clock: TestClock,
  trigger: CronTrigger,
  before: Parameters<BegunRuns["engine"]>[0] = () => {},
  sleep = clock.sleep,
) {
  begun.now = clock.now;
  const abort = new AbortController();
  stopping.push(abort);
  const lines: string[] = [];
  const note = (message: string) => void lines.push(message);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const dead = () => new Promise<never>(() => {});
  let killed = false;
  const engine = begun.engine((what, id) => (killed ? dead() : before(what, id)));
  void scheduleCrons([trigger], engine, { log, signal: abort.signal, sleep });
  return {
    lines,
    stop: () => abort.abort(),
    /** Nothing that it does from now on takes effect. */
    kill: () => {
      killed = true;
      abort.abort();
    },
  };
}

const times = (begun: BegunRuns) =>
  [...begun.runs.keys()].map((id) => id.replace("cron:c:2026-", "").replace(":00.000Z", ""));
const minutes = (count: number) => count * 60_000;

test("each scheduled time is one run that knows where it is from; none of before the first scheduler", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T08:59:30Z")];
  scheduler(begun, clock, every("0 * * * *", { principal: { id: "clock" } }));
  await clock.pass(minutes(121));
  expect(times(begun)).toEqual(["01-05T09:00", "01-05T10:00", "01-05T11:00"].slice(0, 3));
  expect([...begun.runs.values()][0]).toMatchObject({
    workflow: "report",
    input: { at: "2026-01-05T09:00:00.000Z" },
    origin: { kind: "cron", name: "c", id: "2026-01-05T09:00:00.000Z" },
    options: { principal: { id: "clock" } },
    at: new Date("2026-01-05T09:00:00Z"),
    starts: 1,
  });
});

test("nothing fires early when timers do", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T08:59:30Z")];
  const early = (ms: number, signal: AbortSignal) => clock.sleep(Math.max(1, ms - 40), signal);
  scheduler(begun, clock, every("* * * * *"), () => {}, early);
  await clock.pass(minutes(5));
  expect(begun.runs.size).toBe(5);
  for (const { at, origin } of begun.runs.values()) {
    expect(at.getTime()).toBeGreaterThanOrEqual(Date.parse(origin!.id!));
    expect(at.getTime()).toBeLessThan(Date.parse(origin!.id!) + 50);
  }
});

test.each([
  ["skip", []],
  ["once", ["01-07T03:00"]],
  ["all", ["01-06T03:00", "01-07T03:00"]],
] as const)("times that passed while nobody scheduled: %s", async (missed, expected) => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T12:00:00Z")];
  const before = scheduler(begun, clock, every("0 3 * * *", { missed }));
  await clock.pass(minutes(1));
  before.stop();
  await clock.pass(minutes(60 * 47));
  scheduler(begun, clock, every("0 3 * * *", { missed }));
  await clock.pass(minutes(1));
  expect(times(begun)).toEqual(expected);
  await clock.pass(minutes(60 * 24));
  expect(times(begun)).toEqual([...expected, "01-08T03:00"]);
});

test("a short absence is none: the time is met a little late", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T02:59:00Z")];
  const before = scheduler(begun, clock, every("0 3 * * *"));
  await clock.pass(30_000);
  before.stop();
  await clock.pass(60_000);
  scheduler(begun, clock, every("0 3 * * *"));
  await clock.pass(1_000);
  expect(times(begun)).toEqual(["01-05T03:00"]);
});

test("after years away at most a hundred are caught up with, the latest", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2020-01-05T03:00:00Z")];
  const before = scheduler(begun, clock, every("* * * * * *", { missed: "all" }));
  await clock.pass(500);
  before.stop();
  clock.jump("2026-01-05T03:00:00.500Z");
  const after = scheduler(begun, clock, every("* * * * * *", { missed: "all" }));
  await clock.pass(10);
  expect(begun.runs.size).toBe(100);
  expect([...begun.runs.keys()].at(-1)).toBe("cron:c:2026-01-05T03:00:00.000Z");
  expect(after.lines).toContain("scheduled times passed while no scheduler ran");
});

test("which times count as met", () => {
  const now = new Date("2026-01-05T03:00:00Z");
  const ago = (...seconds: number[]) => seconds.map((one) => new Date(now.getTime() - one * 1_000));
  expect(pick(ago(59), now, "skip")).toHaveLength(1);
  expect(pick(ago(61), now, "skip")).toHaveLength(0);
  expect(pick(ago(40, 20, 4, 0), now, "skip")).toEqual(ago(4, 0));
  expect(pick(ago(3_600, 1_800, 0), now, "once")).toEqual(ago(0));
  expect(pick(ago(3_600, 1_800), now, "once")).toEqual(ago(1_800));
});

test("a clock that jumps ahead is caught up with, one that is set back holds nothing up and doubles nothing", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T08:30:00Z")];
  const one = scheduler(begun, clock, every("0 * * * *", { missed: "all" }));
  await clock.pass(minutes(1));
  clock.jump("2026-01-05T11:30:00Z");
  await clock.pass(minutes(1));
  expect(times(begun)).toEqual(["01-05T09:00", "01-05T10:00", "01-05T11:00"]);
  clock.jump("2026-01-05T09:30:00Z");
  await clock.pass(minutes(1));
  expect(one.lines).toContain("the clock was set back: the cron goes on from now");
  await clock.pass(minutes(150));
  expect(times(begun)).toEqual(["01-05T09:00", "01-05T10:00", "01-05T11:00", "01-05T12:00"]);
});

test("a clock that is set back a little repeats nothing", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T08:59:59Z")];
  scheduler(begun, clock, every("0 * * * *"));
  await clock.pass(1_500);
  clock.jump("2026-01-05T08:59:58Z");
  await clock.pass(10_000);
  expect([...begun.runs.values()].map(({ starts }) => starts)).toEqual([1]);
});

test("two schedulers are one; the second carries on when the first dies between the run and its cursor", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T08:59:30Z")];
  const first = scheduler(begun, clock, every("* * * * *"), (what, id) => {
    if (what === "start" && id.includes("09:02")) begun.runs.set(id, { ...[...begun.runs.values()][0]!, runId: id });
    if (what === "start" && id.includes("09:02")) first.kill();
  });
  scheduler(begun, clock, every("* * * * *"));
  await clock.pass(minutes(5));
  expect(times(begun)).toEqual(["01-05T09:00", "01-05T09:01", "01-05T09:02", "01-05T09:03", "01-05T09:04"]);
  expect(begun.cursors.values().next().value).toBe("2026-01-05T09:04:00.000Z");
});

test("a database that is away holds a time up, and no longer than that", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T08:59:30Z")];
  let away = false;
  const one = scheduler(begun, clock, every("0 * * * *"), () => {
    if (away) throw new Error("the connection was lost");
  });
  await clock.pass(1_000);
  away = true;
  await clock.pass(60_000);
  expect(begun.runs.size).toBe(0);
  expect(one.lines).toEqual(["the engine's clock could not be asked; crons wait"]);
  away = false;
  await clock.pass(10_000);
  expect(times(begun)).toEqual(["01-05T09:00"]);
});

test("a run that cannot begin is tried again; one that never can be is told, and the schedule goes on", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T08:59:30Z")];
  let refused = 3;
  scheduler(begun, clock, every("0 * * * *"), (what) => {
    if (what === "start" && refused-- > 0) throw new Error("the queue is full");
  });
  await clock.pass(minutes(1));
  expect(times(begun)).toEqual(["01-05T09:00"]);

  const [other, again] = [new BegunRuns(), new TestClock("2026-01-05T08:59:30Z")];
  const input = (at: Date) => {
    if (at.getUTCHours() === 9) throw new Error("nine is not mine");
    return at.getUTCHours() === 10 ? {} : { at: "x" };
  };
  const one = scheduler(other, again, every("0 * * * *", { input }));
  await again.pass(minutes(125));
  expect(times(other)).toEqual(["01-05T11:00"]);
  expect(one.lines.filter((line) => line === "a cron could not start its run")).toHaveLength(2);
});

test("a schedule that was changed begins anew and makes up for nothing", async () => {
  const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T08:30:00Z")];
  const before = scheduler(begun, clock, every("0 0 * * *", { missed: "all" }));
  await clock.pass(minutes(60));
  before.stop();
  scheduler(begun, clock, every("*/10 * * * *", { missed: "all" }));
  await clock.pass(minutes(15));
  expect(times(begun)).toEqual(["01-05T09:40"]);
});

test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
  "seed %i: schedulers come, die and fail, clocks jump, and each time is one run",
  async (seed) => {
    let state = seed * 2_654_435_761;
    const random = () => {
      state = (Math.imul(state ^ (state >>> 15), 2_246_822_519) + 3_266_489_917) >>> 0;
      return state / 2 ** 32;
    };
    const [begun, clock] = [new BegunRuns(), new TestClock("2026-01-05T00:00:00Z")];
    const fail = () => {
      if (random() < 0.1) throw new Error("the connection was lost");
    };
    const start = () => scheduler(begun, clock, every("*/5 * * * *", { missed: "all" }), fail);
    let alive = [start(), start()];
    let latest = 0;
    for (let round = 0; round < 40; round++) {
      await clock.pass(random() * minutes(15));
      latest = Math.max(latest, clock.wall);
      if (random() < 0.3) alive.splice(Math.floor(random() * alive.length), 1)[0]?.kill();
      if (random() < 0.4 && alive.length < 4) alive.push(start());
      if (random() < 0.2) clock.wall += random() * minutes(180) - minutes(60);
    }
    alive = [...alive, start()];
    await clock.pass(minutes(10));
    latest = Math.max(latest, clock.wall);
    // From the first scheduler on: a clock that was set back to before it may add some.
    const expected: string[] = [];
    for (let at = Date.parse("2026-01-05T00:05:00Z"); at <= latest; at += minutes(5)) {
      expected.push(`cron:c:${new Date(at).toISOString()}`);
    }
    expect([...begun.runs.keys()].filter((id) => id >= expected[0]!).sort()).toEqual(expected);
    for (const { at, origin } of begun.runs.values())
      expect(at.getTime()).toBeGreaterThanOrEqual(Date.parse(origin!.id!));
  },
);
