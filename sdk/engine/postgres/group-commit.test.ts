// Group commit: what shares a write, and that writes of one key stay in order whatever each of them takes.
import { expect, test } from "vitest";
import { GroupCommit } from "./group-commit.ts";

/** A lane whose writes end when the test says so. */
function lane(commits: GroupCommit, oncePerKey = false) {
  const writes: { items: readonly string[]; end(error?: Error): void }[] = [];
  const add = commits.lane<string, undefined>({
    keyOf: (item) => item[0]!,
    oncePerKey,
    write: (items) =>
      new Promise((resolve, reject) => {
        writes.push({ items, end: (error) => (error ? reject(error) : resolve([])) });
      }),
  });
  return { writes, add, items: () => writes.map(({ items }) => items.join(" ")) };
}
/** The event loop has come round, twice. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("what is ready in one turn shares a write, two may be in flight, what comes meanwhile shares the next", async () => {
  const { writes, add, items } = lane(new GroupCommit());
  const all = [add("a1"), add("b1")];
  await settled();
  all.push(add("c1"));
  await settled();
  all.push(add("d1"));
  await settled();
  all.push(add("e1"));
  await settled();
  expect(items()).toEqual(["a1 b1", "c1"]);
  writes[1]!.end();
  await settled();
  expect(items()).toEqual(["a1 b1", "c1", "d1 e1"]);
  writes[0]!.end();
  writes[2]!.end();
  await Promise.all(all);
});

test("writes of one key wait for the one before them, in this lane and in others", async () => {
  const commits = new GroupCommit();
  const rows = lane(commits);
  const changes = lane(commits, true);
  const all = [rows.add("a1")];
  await settled();
  all.push(rows.add("a2"));
  for (const change of ["a3", "b1"]) all.push(changes.add(change));
  for (const row of ["a4", "b2"]) all.push(rows.add(row));
  await settled();
  expect([rows.items(), changes.items()]).toEqual([["a1"], ["b1"]]);
  rows.writes[0]!.end();
  await settled();
  expect([rows.items(), changes.items()]).toEqual([["a1", "a2"], ["b1"]]);
  rows.writes[1]!.end();
  await settled();
  expect(changes.items()).toEqual(["b1", "a3"]);
  changes.writes[0]!.end();
  changes.writes[1]!.end();
  await settled();
  expect(rows.items().slice(2).join(" ").split(" ").toSorted()).toEqual(["a4", "b2"]);
  for (const { end } of rows.writes) end();
  await settled();
  for (const { end } of rows.writes) end();
  await Promise.all(all);
});

test("when a write fails, those of its key behind it fail too, and others do not", async () => {
  const { writes, add } = lane(new GroupCommit());
  const first = add("a1");
  await settled();
  const second = add("b1");
  await settled();
  const [third, other] = [add("a2"), add("c1")];
  const verdicts = Promise.all([
    expect(first).rejects.toThrow("gone"),
    expect(third).rejects.toThrow("gone"),
    expect(second).resolves.toBeUndefined(),
    expect(other).resolves.toBeUndefined(),
  ]);
  writes[0]!.end(new Error("gone"));
  writes[1]!.end();
  await settled();
  expect(writes.slice(2).map(({ items }) => items)).toEqual([["c1"]]);
  writes[2]!.end();
  await verdicts;
});
