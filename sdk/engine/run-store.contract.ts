// Contract suite of the run store: every adapter passes it.
import { expect, test } from "vitest";
import { type Lease, LeaseLost, type NewRun, type Row, type RunStore } from "./run-store.ts";

/** `open` gives stores over one and the same state; each is another worker. */
export function runStoreContract(open: (leaseMs: number) => Promise<RunStore>): void {
  const newRun = (id: string, more: Partial<NewRun> = {}): NewRun => ({
    id,
    workflow: "w",
    version: "v1",
    ir: { ir: 1, name: "w", nodes: [] },
    input: { id },
    scope: { id },
    inputDigest: "d",
    traceparent: null,
    origin: { kind: "direct" },
    principal: null,
    slotKey: null,
    parent: null,
    ...more,
  });
  const unique = () => `run-${Math.random().toString(36).slice(2)}`;
  const take = { take: true, delayMs: 0 };
  const queue = { take: false, delayMs: 0 };
  const finished = (seq: number, node: string, output: unknown): Row => ({ seq, type: "step.finished", node, output });
  const historyOf = async (store: RunStore, id: string) => (await store.history([id], true)).get(id)!;
  const outputOf = async (store: RunStore, id: string, node: string) =>
    (await historyOf(store, id)).find((row) => row.node === node)?.output?.read();
  const begin = async (store: RunStore, run = newRun(unique())): Promise<Lease> => {
    await store.begin(run, take);
    return { runId: run.id, epoch: 1 };
  };

  test("a run that is there already is not begun again", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const id = unique();
    expect((await a.begin(newRun(id), take)).taken).toBe(true);
    const second = await b.begin({ ...newRun(id), workflow: "other" }, take);
    expect(second.taken).toBe(false);
    expect(second.run.workflow).toBe("w");
  });

  test("outputs come back as they were written, dates and undefined included", async () => {
    const store = await open(60_000);
    const lease = await begin(store);
    const output = {
      at: new Date(5),
      list: new Map([["a", 1n]]),
      none: undefined,
      text: "a\u0000b",
      z: 1,
      a: 2,
      n: -0,
    };
    await store.append(lease, finished(2, "n", output));
    await store.append(lease, finished(3, "nothing", undefined));
    const read = await outputOf(store, lease.runId, "n");
    expect(read).toEqual(output);
    expect(Object.keys(read as object)).toEqual(Object.keys(output));
    const rows = await historyOf(store, lease.runId);
    expect(rows.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(rows[2]?.output?.read()).toBeUndefined();
  });

  test("a long journal is read in order, of one run and of many, with outputs only where they are asked for", async () => {
    const store = await open(60_000);
    const [one, other] = [await begin(store), await begin(store)];
    const rows = Array.from({ length: 2_100 }, (_none, index): Row => {
      const seq = index + 2;
      if (seq === 1_000 || seq === 1_001 || seq % 97 === 0)
        return { seq, type: "timer.set", node: `nap ${seq}`, data: { wakeAt: new Date(seq) } };
      // A name is the author's.
      return finished(seq, seq % 101 === 0 ? `a\n${seq}` : `list[${seq}]/a`, { text: `\n${seq} \u2028 \ud83d\ude00` });
    });
    await Promise.all([...rows.map((row) => store.append(one, row)), store.append(other, finished(2, "n", 1))]);
    const told = (all: readonly { seq: number; type: string; node: string | null }[]) =>
      all.map(({ seq, type, node }) => `${seq} ${type} ${node}`);
    const read = await historyOf(store, one.runId);
    expect(told(read)).toEqual(["1 run.started null", ...told(rows)]);
    for (const [index, row] of rows.entries()) expect(read[index + 1]!.output?.read()).toEqual(row.output);
    expect(new Date(read[999]!.data.wakeAt as string)).toEqual(new Date(1_000));
    const many = await store.history([other.runId, "nobody", one.runId], false);
    expect(told(many.get(one.runId)!)).toEqual(told(read));
    expect(told(many.get(other.runId)!)).toEqual(["1 run.started null", "2 step.finished n"]);
    expect(many.get("nobody")).toEqual([]);
    expect(many.get(one.runId)!.filter(({ output }) => output)).toHaveLength(
      rows.filter((row) => "output" in row).length,
    );
  });

  test("a run whose lease holds is not claimed, one that is given back is claimed by one", async () => {
    const [a, b, c] = [await open(60_000), await open(60_000), await open(60_000)];
    const lease = await begin(a);
    const id = lease.runId;
    expect(await b.claim([id])).toEqual([]);
    await a.release([lease]);
    const due = await b.due(["w"], { runIds: [], versions: [] }, 1_000);
    expect(due.map((run) => run.id)).toContain(id);
    expect(await b.due(["w"], { runIds: [id], versions: [] }, 1_000)).not.toContainEqual(
      expect.objectContaining({ id }),
    );
    expect(await b.due(["w"], { runIds: [], versions: ["w@v1"] }, 1_000)).toEqual([]);
    const claims = (await Promise.all([b.claim([id]), c.claim([id])])).flat();
    expect(claims).toHaveLength(1);
    expect(claims[0]).toMatchObject({ id, epoch: 2, state: "running", seq: 2 });
  });

  test("after a takeover the stale worker can write neither rows nor an end, and its lease is not renewed", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const stale = await begin(a);
    const id = stale.runId;
    await a.release([stale]);
    const [claimed] = await b.claim([id]);
    const held = { runId: id, epoch: 2 };
    await expect((async () => a.append(stale, finished(2, "n", 1)))()).rejects.toThrow(LeaseLost);
    const end = { state: "done", rows: [{ seq: 3, type: "run.done", node: null }], output: {} } as const;
    await expect(a.change(stale, end)).rejects.toThrow(LeaseLost);
    expect(await a.renew([stale])).toEqual(new Map());
    expect([...(await b.renew([held])).keys()]).toEqual([id]);
    await b.append(held, finished(claimed!.seq + 1, "n", 2));
    await b.change(held, { ...end, rows: [{ ...end.rows[0], seq: claimed!.seq + 2 }], output: { ok: true } });
    expect(await a.find(id)).toMatchObject({ state: "done", output: { ok: true } });
    expect(await outputOf(a, id, "n")).toBe(2);
  });

  test("a fenced row in a batch does not take the others of the batch with it", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const leases: Lease[] = [];
    for (let index = 0; index < 20; index++) leases.push(await begin(a));
    const lost = leases[7]!;
    await a.release([lost]);
    await b.claim([lost.runId]);
    const results = await Promise.allSettled(
      leases.map(async (lease) => a.append(lease, finished(2, "n", lease.runId))),
    );
    expect(results.flatMap((result, index) => (result.status === "rejected" ? [leases[index]] : []))).toEqual([lost]);
    expect(await outputOf(a, leases[8]!.runId, "n")).toBe(leases[8]!.runId);
  });

  test("rows of one run have no gap at any time, however many writes of it are under way", async () => {
    const store = await open(60_000);
    const lease = await begin(store);
    const writes = Array.from({ length: 200 }, async (_none, index) =>
      store.append(lease, finished(index + 2, `n${index}`, index)),
    );
    let done = false;
    const all = Promise.all(writes).then(() => {
      done = true;
    });
    while (!done) {
      const seqs = (await store.events(lease.runId, 0, 1_000)).map(({ seq }) => seq);
      expect(seqs).toEqual(seqs.map((_none, index) => index + 1));
    }
    await all;
    expect(await store.events(lease.runId, 150, 10)).toHaveLength(10);
  });

  test("a change is refused when something was done from outside since, and writes nothing then", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const lease = await begin(a);
    const id = lease.runId;
    await b.wake([id]);
    const change = {
      state: "waiting",
      dueAt: null,
      ifSignals: 0,
      rows: [{ seq: 2, type: "run.waiting", node: null, data: { waits: [] } }],
    } as const;
    expect(await a.change(lease, change)).toBe("signaled");
    expect(await historyOf(a, id)).toHaveLength(1);
    expect(await a.standing(id)).toMatchObject({ signals: 1 });
    expect(await a.change(lease, { ...change, ifSignals: 1 })).toBe("done");
    expect(await a.find(id)).toMatchObject({ state: "waiting" });
    expect(await b.claim([id])).toEqual([]);
    await b.wake([id]);
    expect(await b.claim([id])).toMatchObject([{ id, epoch: 2, seq: 2 }]);
  });

  test("a queued run is claimed when its delay has passed, and says that it started", async () => {
    const store = await open(60_000);
    const id = unique();
    await store.begin(newRun(id), { take: false, delayMs: 60_000 });
    expect(await store.claim([id])).toEqual([]);
    const soon = unique();
    await store.begin(newRun(soon), queue);
    expect(await store.queued("w")).toBeGreaterThanOrEqual(2);
    expect(await store.claim([soon])).toMatchObject([{ id: soon, seq: 2 }]);
    expect((await store.events(soon, 0, 10)).map(({ type }) => type)).toEqual(["run.queued", "run.started"]);
  });

  test("an act sees whether the run is held, and what it writes goes to the journal in order", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const lease = await begin(a);
    const id = lease.runId;
    expect(await b.act(id, ({ held }) => ({ act: { request: { kind: "pause", reason: "" } }, result: held }))).toBe(
      true,
    );
    expect(await a.standing(id)).toEqual({ signals: 1, request: { kind: "pause", reason: "" } });
    await a.change(lease, { state: "paused", rows: [{ seq: 2, type: "run.paused", node: null }] });
    expect((await a.find(id))?.request).toBeNull();
    expect(await b.claim([id])).toEqual([]);
    await b.act(id, ({ held }) => ({ act: { state: "queued", due: true }, result: held }));
    const rows = [{ type: "run.canceled", node: null, data: { reason: "r" } }] as const;
    const error = { code: "canceled", message: "m", fix: "f" } as const;
    await b.act(id, () => ({ act: { rows, state: "canceled", error }, result: null }));
    expect(await a.find(id)).toMatchObject({ state: "canceled", error, epoch: 2 });
    expect((await a.events(id, 1, 10)).map(({ type, seq }) => [seq, type])).toEqual([
      [2, "run.paused"],
      [3, "run.canceled"],
    ]);
    expect(await b.act("no such run", () => ({ result: 1 }))).toBeUndefined();
  });

  test("answers and open waits are seen by acts, and gone when the node is over", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const lease = await begin(a);
    const id = lease.runId;
    await a.openWait(lease, { kind: "approval", node: "ask" });
    const answer = { node: "ask", answer: { approved: true, by: "ada", comment: "fine" } };
    const seen = await b.act(id, ({ openWaits }) => ({ act: { answer, due: true }, result: openWaits }));
    expect(seen).toEqual([{ kind: "approval", node: "ask" }]);
    expect(await a.answer(id, "ask")).toMatchObject({
      approved: true,
      by: "ada",
      comment: "fine",
      at: expect.any(Date),
    });
    const row: Row = {
      seq: 2,
      type: "approval.answered",
      node: "ask",
      data: { approved: true, by: "ada" },
      output: {},
    };
    expect(await a.change(lease, { rows: [row], closed: ["ask"] })).toBe("done");
    const view = await b.act(id, ({ openWaits, answers }) => ({ result: [openWaits.length, answers.size] }));
    expect(view).toEqual([0, 0]);
  });

  test("a stale worker cannot open again what another has closed", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const stale = await begin(a);
    await a.release([stale]);
    await b.claim([stale.runId]);
    const wait = { kind: "approval", node: "ask" } as const;
    await expect(a.openWait(stale, wait)).rejects.toThrow(LeaseLost);
    expect(await b.act(stale.runId, ({ openWaits }) => ({ result: openWaits.length }))).toBe(0);
  });

  test("an event is published once, found by name and key, and wakes who waits for it", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const name = unique();
    await b.publish({ id: `${name}-0`, name, key: "k1", payload: {} });
    const run = (await a.begin(newRun(unique()), take)).run;
    const lease = { runId: run.id, epoch: 1 };
    await a.openWait(lease, { kind: "event", node: "n", event: name, key: "k1" });
    expect(await b.publish({ id: `${name}-1`, name, key: "k2", payload: { at: new Date(7) } })).toBe(true);
    expect(await b.publish({ id: `${name}-1`, name, key: "k2", payload: {} })).toBe(false);
    await b.wakeFor({ name, key: "k2" });
    expect(await a.standing(run.id)).toMatchObject({ signals: 0 });
    await b.publish({ id: `${name}-2`, name, key: "k1", payload: { n: 2 } });
    await b.wakeFor({ name, key: "k1" });
    expect(await a.standing(run.id)).toMatchObject({ signals: 1 });
    const found = (key: string | null, except: string[] = []) => a.findEvent({ name, key }, run.eventFloor, except);
    expect(await found("k1")).toMatchObject({ id: `${name}-2`, payload: { n: 2 } });
    expect(await found("k1", [`${name}-2`])).toBeUndefined();
    expect((await found(null))?.payload).toEqual({ at: new Date(7) });
    expect((await a.undispatched([name], 10)).map(({ id }) => id)).toEqual(
      [0, 1, 2].map((index) => `${name}-${index}`),
    );
    await a.dispatched([`${name}-0`, `${name}-2`]);
    expect((await a.undispatched([name], 10)).map(({ id }) => id)).toEqual([`${name}-1`]);
  });

  test("slots of one key are never given to more runs than there are, and are passed on in order", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const key = unique();
    const ir = { ir: 1, name: "w", concurrency: { limit: 2 }, nodes: [] } as const;
    const ids = Array.from({ length: 6 }, (_none, index) => `${key}-${index}`);
    for (const id of ids) expect((await a.begin(newRun(id, { ir, slotKey: key }), take)).taken).toBe(false);
    const first = (await Promise.all(ids.map((id, index) => (index % 2 ? a : b).claim([id])))).flat();
    expect(first).toHaveLength(2);
    const end = async (id: string, seq: number) =>
      a.change({ runId: id, epoch: 2 }, { state: "done", output: {}, rows: [{ seq, type: "run.done", node: null }] });
    const dueOf = async () =>
      (await b.due(["w"], { runIds: [], versions: [] }, 1_000)).map(({ id }) => id).filter((id) => ids.includes(id));
    expect(await dueOf()).toEqual([]);
    await end(first[0]!.id, first[0]!.seq + 1);
    const [next] = await dueOf();
    expect(next).toBe(ids.find((id) => !first.some((run) => run.id === id)));
    expect((await b.claim([next!])).map(({ id }) => id)).toEqual([next]);
    expect(await dueOf()).toEqual([]);
  });

  test("of many workers that claim runs of one key at once, no more get one than there are slots", async () => {
    const stores = await Promise.all(Array.from({ length: 4 }, () => open(60_000)));
    for (let round = 0; round < 10; round++) {
      const key = unique();
      const ir = { ir: 1, name: "w", concurrency: { limit: 1 }, nodes: [] } as const;
      const ids = stores.map((_store, index) => `${key}-${index}`);
      for (const id of ids) await stores[0]!.begin(newRun(id, { ir, slotKey: key }), queue);
      const claimed = await Promise.all(stores.map((store, index) => store.claim([ids[index]!])));
      expect(claimed.flat()).toHaveLength(1);
    }
  });

  test("a cursor moves for one of two who move it at once", async () => {
    const [a, b] = [await open(60_000), await open(60_000)];
    const name = unique();
    expect(await a.cursor(name)).toBeNull();
    const moved = await Promise.all([a.moveCursor(name, null, "1"), b.moveCursor(name, null, "1")]);
    expect(moved.filter(Boolean)).toHaveLength(1);
    expect(await b.moveCursor(name, "0", "2")).toBe(false);
    expect(await b.moveCursor(name, "1", "2")).toBe(true);
    expect(await a.cursor(name)).toBe("2");
  });

  test("runs are listed newest first, by state, by who began them and in pages", async () => {
    const store = await open(60_000);
    const workflow = unique();
    const ids = Array.from({ length: 5 }, unique);
    const origin = { kind: "cron", name: workflow } as const;
    const starters = ["ada", "bob", "ada", null, "ada"].map((id) => id && { id: id + workflow });
    for (const [at, id] of ids.entries()) {
      await store.begin(newRun(id, { workflow, origin, principal: starters[at] || null }), take);
    }
    await store.change(
      { runId: ids[0]!, epoch: 1 },
      { state: "done", output: {}, rows: [{ seq: 2, type: "run.done", node: null }] },
    );
    const list = async (filter: Parameters<RunStore["list"]>[0]) => (await store.list(filter)).map(({ id }) => id);
    const newest = ids.toReversed();
    expect(await list({ workflow, limit: 2 })).toEqual(newest.slice(0, 2));
    expect(await list({ originName: workflow, before: newest[1]! })).toEqual(newest.slice(2));
    expect(await list({ workflow, state: "done" })).toEqual([ids[0]]);
    const adas = [ids[4], ids[2], ids[0]];
    expect(await list({ startedBy: `ada${workflow}` })).toEqual(adas);
    expect(await list({ startedBy: `ada${workflow}`, before: ids[4]! })).toEqual(adas.slice(1));
  });
}
