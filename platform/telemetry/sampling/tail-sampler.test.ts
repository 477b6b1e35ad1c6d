// The sampler by hazard: a process that ends at any line, late and repeated requests, a full disk, a store that is away.
import { spawnSync } from "node:child_process";
import { appendFile, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { TsdevError } from "../../../sdk/errors.ts";
import { openSampler, policyOf, request, type SentSpan, StoredSpans, traceId, until } from "./sampler.fixture.ts";
import type { TailSampler, TailSamplerOptions } from "./tail-sampler.ts";

const waitMs = 30;
let directory: string;
let stored: StoredSpans;
const opened: TailSampler[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "tsdev-sampling-"));
  stored = new StoredSpans();
});
afterEach(async () => {
  for (const sampler of opened.splice(0)) await sampler.close();
  await rm(directory, { recursive: true, force: true });
});

async function open(more: Partial<TailSamplerOptions> = {}): Promise<TailSampler> {
  const sampler = await openSampler(directory, stored, more);
  opened.push(sampler);
  return sampler;
}
const files = async (ending: string) => (await readdir(directory)).filter((name) => name.endsWith(ending));
const over = (sampler: TailSampler) => until(() => sampler.state().windows === 0);
/** Of which the first twenty are kept, because nobody knows the operation: named so that the lot says what the test needs. */
const many = (name: string, count: number): SentSpan[] =>
  Array.from({ length: count }, (_, i) => ({ trace: `${name}${i}` }));

test("spans are stored when the wait is over, kept traces whole, with the number that each stands for", async () => {
  const sampler = await open();
  const policy = policyOf({ keepShare: 0.2 });
  const spans = many("t", 1_000).flatMap(({ trace }) => [{ trace }, { trace, span: 1, parent: 0, service: "db" }]);
  await sampler.add(
    request(
      spans.filter(({ span }) => span === undefined),
      policy,
    ),
    waitMs,
  );
  await sampler.add(
    request(
      spans.filter(({ span }) => span === 1),
      policy,
    ),
    waitMs,
  );
  expect(stored.all()).toEqual([]);
  await over(sampler);
  const byTrace = Map.groupBy(stored.all(), ({ trace }) => trace);
  expect(byTrace.size).toBeGreaterThan(150);
  expect(byTrace.size).toBeLessThan(300);
  for (const spansOf of byTrace.values()) {
    expect(spansOf).toHaveLength(2);
    expect(new Set(spansOf.map(({ count }) => count)).size).toBe(1);
    expect([1, 5]).toContain(spansOf[0]!.count);
  }
  expect(await files(".window")).toEqual([]);
});

test("a sender's own sampling and this one multiply", async () => {
  const sampler = await open();
  // A threshold of one half and of three quarters: a span stands for two, and for four.
  const spans = many("h", 400).map((span, i) => ({ ...span, traceState: i % 2 ? "ot=th:8" : "ot=th:c" }));
  await sampler.add(request(spans, policyOf({ keepShare: 0.25 })), waitMs);
  await over(sampler);
  const counts = new Set(stored.all().map(({ count }) => count));
  expect([...counts].sort((a, b) => a - b)).toEqual([2, 4, 8, 16]);
});

test("spans that come in later windows follow the decision, and a failed one is kept", async () => {
  const sampler = await open();
  const policy = policyOf({ keepShare: 0.5 });
  await sampler.add(request(many("season", 400)), waitMs);
  await over(sampler);
  const traces = many("late", 60);
  await sampler.add(request(traces, policy), waitMs);
  await over(sampler);
  const kept = new Set(traces.filter(({ trace }) => stored.of(trace).length > 0).map(({ trace }) => trace));
  expect(kept.size).toBeGreaterThan(10);
  expect(kept.size).toBeLessThan(50);
  await sampler.add(
    request(
      traces.map(({ trace }) => ({ trace, span: 1, parent: 0 })),
      policy,
    ),
    waitMs,
  );
  await sampler.add(request([{ trace: "late-failed", span: 1, parent: 0, failed: true }], policy), waitMs);
  await over(sampler);
  for (const { trace } of traces) expect(stored.of(trace)).toHaveLength(kept.has(trace) ? 2 : 0);
  expect(stored.of("late-failed")).toMatchObject([{ count: 1 }]);
});

test("what a finding cites is kept", async () => {
  const sampler = await open();
  sampler.citedBy(async ({ project }) =>
    project === "shop" ? many("cited", 40).map(({ trace }) => traceId(trace)) : [],
  );
  const policy = policyOf({ keepShare: 0 });
  await sampler.add(request(many("season", 400), policy), waitMs);
  await over(sampler);
  await sampler.add(request([...many("cited", 40), ...many("other", 40)], policy), waitMs);
  await over(sampler);
  expect(many("cited", 40).flatMap(({ trace }) => stored.of(trace))).toHaveLength(40);
  expect(many("other", 40).flatMap(({ trace }) => stored.of(trace)).length).toBeLessThan(4);
});

test("environments are decided apart", async () => {
  const sampler = await open();
  const [one, other] = ["production", "preview"].map((environment) => ({
    organizationId: "o",
    project: "p",
    environment,
  }));
  await sampler.add(request([{ trace: "same", failed: true }], policyOf({ keepShare: 0 }), one), waitMs);
  await sampler.add(request(many("season", 200), policyOf({ keepShare: 0 }), other), waitMs);
  await over(sampler);
  await sampler.add(request([{ trace: "same", span: 5 }], policyOf({ keepShare: 0 }), other), waitMs);
  await over(sampler);
  expect(stored.of("same")).toHaveLength(1);
});

describe("a process that ends", () => {
  const spans = (): SentSpan[] => [...many("k", 300), { trace: "bad", failed: true }];

  test("before the decision: the next one decides and stores the same window, and knows the requests", async () => {
    const first = await open();
    const sent = request(spans());
    await first.add(sent, 60_000);
    await first.close();
    opened.length = 0;
    // The frame that it was writing.
    const [window] = await files(".window");
    await appendFile(join(directory, window!), Buffer.from([9, 0, 0, 0, 1, 1]));
    // A wait of a minute is in the file's name.
    await rename(join(directory, window!), join(directory, window!.replace(".60000.", ".30.")));
    const next = await open();
    expect(next.knows(sent.digest)).toBe(true);
    await over(next);
    expect(next.knows(sent.digest)).toBe(false);
    expect(stored.requests.has(sent.digest)).toBe(true);
    expect(stored.of("bad")).toMatchObject([{ count: 1 }]);
    expect([...stored.groups.keys()]).toEqual([window!.split(".")[0]]);
  });

  test.each(["before", "after"] as const)(
    "%s the rows were stored: the same rows are stored under the same id",
    async (when) => {
      const first = new StoredSpans();
      const begun = Promise.withResolvers<void>();
      const hanging = await open({
        store: async (group, id) => {
          // What went out would be taken back by nobody.
          if (when === "after") await first.store(group, id);
          begun.resolve();
          await new Promise(() => {});
        },
      });
      await hanging.add(request(spans()), waitMs);
      await begun.promise;
      opened.length = 0;
      expect(await files(".decisions")).toHaveLength(1);
      const next = await open();
      await over(next);
      expect(stored.groups.size).toBe(1);
      if (when === "after") expect([...stored.groups]).toEqual([...first.groups]);
      expect(stored.of("bad")).toHaveLength(1);
      expect(await files(".window")).toEqual([]);
    },
  );

  test("after the rows were stored and known: they are not stored again", async () => {
    const hanging = await open({
      store: async (group, id) => {
        await stored.store(group, id);
        await new Promise(() => {});
      },
    });
    await hanging.add(request(spans()), waitMs);
    await until(() => stored.tries.length === 1);
    opened.length = 0;
    const next = await open();
    await over(next);
    expect(stored.tries).toHaveLength(1);
  });

  test("after a window was over: the next one still follows its decisions", async () => {
    const policy = policyOf({ keepShare: 0.5 });
    const first = await open();
    await first.add(request(many("season", 300), policy), waitMs);
    await over(first);
    const traces = many("across", 60);
    // Of the root, which comes late, a process that knows the operation no more could only say: keep it.
    const below = traces.map(({ trace }) => ({ trace, span: 1, parent: 0 }));
    await first.add(request(below, policy), waitMs);
    await over(first);
    const kept = traces.filter(({ trace }) => stored.of(trace).length > 0).length;
    await first.close();
    opened.length = 0;
    const next = await open();
    await next.add(request(traces, policy), waitMs);
    await over(next);
    const sizes = traces.map(({ trace }) => stored.of(trace).length);
    expect(sizes.filter((size) => size === 2)).toHaveLength(kept);
    expect(sizes.filter((size) => size === 0)).toHaveLength(60 - kept);
  });
});

test("while the store takes nothing spans stay on disk up to the limit, and are stored when it takes them again", async () => {
  let away = true;
  const sampler = await open({
    limitBytes: 100_000,
    store: async (group, id) => {
      if (away) throw new TsdevError("rate_limited", { message: "full", fix: "wait" });
      await stored.store(group, id);
    },
  });
  const taken: string[] = [];
  const fill = async () => {
    for (let i = 0; ; i++) {
      await sampler.add(request([{ trace: `full-${i}`, failed: true }]), waitMs);
      taken.push(`full-${i}`);
    }
  };
  await expect(fill()).rejects.toMatchObject({ code: "rate_limited" });
  expect(taken.length).toBeGreaterThan(100);
  away = false;
  await over(sampler);
  for (const trace of taken) expect(stored.of(trace)).toHaveLength(1);
  expect(sampler.state().bytes).toBe(0);
});

test("past the limit of traces the oldest are decided before their time, and memory stays bounded", async () => {
  const sampler = await open({ traceLimit: 500 });
  for (let i = 0; i < 20; i++) {
    for (;;) {
      try {
        await sampler.add(request(many(`crowd-${i}-`, 100)), 60_000);
        break;
      } catch (error) {
        expect(error).toMatchObject({ code: "rate_limited" });
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    expect(sampler.state().traces).toBeLessThanOrEqual(1_200);
  }
  await until(() => sampler.state().traces <= 500);
  expect(stored.tries.length).toBeGreaterThan(1);
});

test("rows that the database refuses are kept aside and said, and what comes after them is stored", async () => {
  const said: string[] = [];
  let refuse = true;
  const sampler = await open({
    log: (message) => void said.push(message),
    store: async (group, id) => {
      if (refuse) throw new Error("Cannot parse");
      await stored.store(group, id);
    },
  });
  await sampler.add(request([{ trace: "x" }]), waitMs);
  await over(sampler);
  refuse = false;
  await sampler.add(request([{ trace: "y" }]), waitMs);
  await over(sampler);
  expect(await readdir(join(directory, "refused"))).toHaveLength(1);
  expect(said.join()).toContain("refuses telemetry");
  expect(stored.of("y")).toHaveLength(1);
});

test.skipIf(process.getuid?.() !== 0)(
  "a full disk refuses with a typed error, loses nothing and takes again",
  async () => {
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=128k", "tmpfs", directory]);
    expect(mount.status).toBe(0);
    try {
      const sampler = await open();
      await sampler.add(request([{ trace: "before", failed: true }]), waitMs);
      const large = request(many("large", 2_000).map((span) => ({ ...span, name: "x".repeat(100) })));
      await expect(sampler.add(large, waitMs)).rejects.toMatchObject({ code: "unavailable", message: /disk is full/ });
      expect(sampler.knows(large.digest)).toBe(false);
      await sampler.add(request([{ trace: "after", failed: true }]), waitMs);
      await over(sampler);
      expect([stored.of("before"), stored.of("after"), stored.of("large1")].map(({ length }) => length)).toEqual([
        1, 1, 0,
      ]);
      expect(sampler.state().bytes).toBe(0);
      await sampler.close();
      opened.length = 0;
    } finally {
      spawnSync("umount", [directory]);
    }
  },
);
