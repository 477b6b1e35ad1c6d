// Comparison: what counts as equal and what must not.
import { expect, test } from "vitest";
import { parseChange } from "./change-list.ts";
import { Comparison, type Observation } from "./observation.ts";

const strict = { callsAsSet: false, failedBodies: true };
const a = "11111111-1111-4111-8111-111111111111";
const b = "22222222-2222-4222-8222-222222222222";
const c = "33333333-3333-4333-8333-333333333333";

function seen(body: unknown, more: Partial<Observation> = {}): Observation {
  return {
    status: 200,
    headers: { "content-type": "application/json" },
    body: Buffer.from(JSON.stringify(body)),
    calls: [],
    changes: [],
    ...more,
  };
}
const compare = (left: Observation, right: Observation, normalise: string[] = []) =>
  new Comparison(Date.now(), normalise, strict).compare(left, right);

test("the order of keys is no difference, the order of lists is", () => {
  expect(compare(seen({ x: 1, y: 2 }), seen({ y: 2, x: 1 }))).toEqual([]);
  expect(compare(seen([1, 2]), seen([2, 1]))[0]).toContain("$[0] = 1 before, $[0] = 2 after");
});

test("ids that each side made itself are equal when they appear in the same places", () => {
  expect(compare(seen({ id: a, again: a }), seen({ id: b, again: b }))).toEqual([]);
  expect(compare(seen({ id: a, again: a }), seen({ id: b, again: c }))).not.toEqual([]);
});

test("ids that both sides know are data: exchanging them is a difference", () => {
  expect(compare(seen([a, b]), seen([b, a]))).not.toEqual([]);
});

test("an id known from an earlier request is not renamed later", () => {
  const comparison = new Comparison(Date.now(), [], strict);
  expect(comparison.compare(seen([a, b]), seen([a, b]))).toEqual([]);
  expect(comparison.compare(seen({ owner: a }), seen({ owner: b }))).not.toEqual([]);
});

test("a problem's trace is an id that each side made; the same digits elsewhere are data", () => {
  const [one, other] = ["1cae266085ab6c6201812c403908ae14", "c99ae1d9c448b8b7a2bacec725fc58ba"];
  const problem = (trace: string) => seen({ code: "conflict", instance: `urn:tsdev:trace:${trace}` });
  expect(compare(problem(one), problem(other))).toEqual([]);
  expect(compare(seen({ digest: one }), seen({ digest: other }))).not.toEqual([]);
});

test("times of the replay are equal, times of the data are not", () => {
  const now = Date.now();
  const iso = (ms: number) => new Date(now + ms).toISOString();
  expect(compare(seen({ at: iso(2), ms: now }), seen({ at: iso(7), ms: now + 3 }))).toEqual([]);
  expect(compare(seen({ at: "2020-01-01T00:00:00Z" }), seen({ at: "2020-01-02T00:00:00Z" }))).not.toEqual([]);
});

test("configured keys are not compared, at any depth or by path", () => {
  expect(compare(seen({ items: [{ took: 1 }] }), seen({ items: [{ took: 2 }] }), ["took"])).toEqual([]);
  expect(compare(seen({ items: [{ took: 1 }] }), seen({ items: [{ took: 2 }] }), ["items.*.took"])).toEqual([]);
  expect(compare(seen({ items: [{ took: 1 }] }), seen({ items: [{ took: 2 }] }), ["other.*.took"])).not.toEqual([]);
});

test("changes of one row keep their order, changes of different rows do not", () => {
  const change = (key: string, text: string) => ({ table: "public.t", key, text });
  const left = [change("id=1", "UPDATE: n:1"), change("id=1", "UPDATE: n:2"), change("id=2", "INSERT: n:0")];
  const right = [left[2]!, left[0]!, left[1]!];
  expect(compare(seen(1, { changes: left }), seen(1, { changes: right }))).toEqual([]);
  const swapped = [left[1]!, left[0]!, left[2]!];
  expect(compare(seen(1, { changes: left }), seen(1, { changes: swapped }))[0]).toContain("changed rows");
});

test("another outgoing call, or one more, is a difference", () => {
  expect(compare(seen(1, { calls: ["GET x"] }), seen(1, { calls: ["GET x", "GET x"] }))[0]).toContain(
    "only after: GET x",
  );
});

test("a logged change names its row, also with quotes and brackets in it", () => {
  const keys = new Map([["public.orders", ["id"]]]);
  const line = "table public.orders: INSERT: id[integer]:7 name[character varying]:'it''s [x]:1' tags[text[]]:'{a}'";
  expect(parseChange(line, keys)).toMatchObject({ table: "public.orders", key: "id=7" });
  expect(parseChange("table tsdev.runs: INSERT: id[text]:'r'", keys)).toBeNull();
  expect(parseChange("COMMIT", keys)).toBeNull();
});
