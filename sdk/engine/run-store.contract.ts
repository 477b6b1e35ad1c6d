// Contract suite of the run store: every adapter passes it.
import { expect, test } from "vitest";
import { LeaseLost, type NewRun, type RunStore } from "./run-store.ts";

/** `open` gives stores over one and the same state; each is another worker. */
export function runStoreContract(open: (leaseMs: number) => Promise<RunStore>): void {
  const newRun = (id: string): NewRun => ({
    id,
    workflow: "w",
    version: "v1",
    ir: { ir: 1, name: "w", nodes: [] },
    input: { id },
    scope: { id },
    inputDigest: "d",
    traceparent: null,
  });
  const unique = () => `run-${Math.random().toString(36).slice(2)}`;
  const lease = { runId: "", epoch: 1 };

  test("a run that is there already is not begun again", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const id = unique();
    expect((await a.begin(newRun(id))).begun).toBe(true);
    const second = await b.begin({ ...newRun(id), inputDigest: "other" });
    expect(second.begun).toBe(false);
    expect(second.run.inputDigest).toBe("d");
  });

  test("outputs come back as they were written, dates and undefined included", async () => {
    const store = await open(60_000);
    const id = unique();
    await store.begin(newRun(id));
    const output = { at: new Date(5), list: new Map([["a", 1n]]), none: undefined, text: "a\u0000b", z: 1, a: 2 };
    await store.finishStep({ ...lease, runId: id, node: "n", output });
    const steps = await store.steps(id);
    expect(steps.get("n")).toEqual(output);
    expect(Object.keys(steps.get("n") as object)).toEqual(Object.keys(output));
  });

  test("a run whose lease holds is not claimed, one whose lease expired is claimed by one", async () => {
    const [a, b, c] = [await open(60_000), await open(60_000), await open(60_000)];
    const id = unique();
    await a.begin(newRun(id));
    expect(await b.claim(id)).toBeUndefined();
    await a.release([{ runId: id, epoch: 1 }]);
    expect((await b.expired(["w"], [], 1_000)).map((run) => run.id)).toContain(id);
    const claims = await Promise.all([b.claim(id), c.claim(id)]);
    expect(claims.filter(Boolean)).toHaveLength(1);
    expect(claims.find(Boolean)).toMatchObject({ id, epoch: 2 });
  });

  test("after a takeover the stale worker can write neither step nor end, and its lease is not renewed", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const id = unique();
    await a.begin(newRun(id));
    await a.release([{ runId: id, epoch: 1 }]);
    await b.claim(id);
    await expect(a.finishStep({ runId: id, epoch: 1, node: "n", output: 1 })).rejects.toThrow(LeaseLost);
    await expect(a.finishRun({ runId: id, epoch: 1, state: "done", output: {} })).rejects.toThrow(LeaseLost);
    expect(await a.renew([{ runId: id, epoch: 1 }])).toEqual(new Set());
    expect(await b.renew([{ runId: id, epoch: 2 }])).toEqual(new Set([id]));
    await b.finishStep({ runId: id, epoch: 2, node: "n", output: 2 });
    await b.finishRun({ runId: id, epoch: 2, state: "done", output: { ok: true } });
    expect(await a.find(id)).toMatchObject({ state: "done", output: { ok: true } });
    expect((await a.steps(id)).get("n")).toBe(2);
  });

  test("a step that is written twice by the same worker is kept as first written", async () => {
    const store = await open(60_000);
    const id = unique();
    await store.begin(newRun(id));
    await store.finishStep({ runId: id, epoch: 1, node: "n", output: 1 });
    await store.finishStep({ runId: id, epoch: 1, node: "n", output: 2 });
    expect((await store.steps(id)).get("n")).toBe(1);
  });

  test("a fenced step in a batch does not take the others of the batch with it", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const ids = Array.from({ length: 20 }, unique);
    for (const id of ids) await a.begin(newRun(id));
    const lost = ids[7]!;
    await a.release([{ runId: lost, epoch: 1 }]);
    await b.claim(lost);
    const results = await Promise.allSettled(
      ids.map((runId) => a.finishStep({ runId, epoch: 1, node: "n", output: runId })),
    );
    expect(results.flatMap((result, index) => (result.status === "rejected" ? [ids[index]] : []))).toEqual([lost]);
    expect((await a.steps(ids[8]!)).get("n")).toBe(ids[8]);
  });

  test("a failed run keeps its error", async () => {
    const store = await open(60_000);
    const id = unique();
    await store.begin(newRun(id));
    const error = { code: "step_failed", message: "m", fix: "f" } as const;
    await store.finishRun({ runId: id, epoch: 1, state: "failed", error });
    expect(await store.find(id)).toMatchObject({ state: "failed", error });
  });
}
