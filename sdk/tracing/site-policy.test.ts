// Site policy: which stacks are taken, and whose place a statement without one has.
import { SpanKind } from "@opentelemetry/api";
import { expect, test } from "vitest";
import type { RawFrame } from "./call-site.ts";
import { noteSite, SitePolicy, siblingSite } from "./site-policy.ts";
import { newTraceIds, RecordedSpan } from "./span.ts";

function span(): RecordedSpan {
  const scope = { name: "test", version: "" };
  return new RecordedSpan(scope, "work", SpanKind.CLIENT, newTraceIds(), undefined, undefined, {}, () => {});
}
const at = (line: number): RawFrame[] => [{ file: "/app/a.ts", line, column: 1, name: "load" }];

/** Makes `count` queries below `parent`, and answers at which of them, from 1, the stack was taken. */
function taken(policy: SitePolicy, parent: RecordedSpan, count: number, line = (_number: number) => 7) {
  const spans = Array.from({ length: count }, (_, index) => {
    const query = span();
    if (policy.wants(query, parent, "SELECT 1")) {
      query.site = at(line(index + 1));
      noteSite(query);
    }
    return query;
  });
  return { spans, numbers: spans.flatMap((query, index) => (query.site ? [index + 1] : [])) };
}

test("the first of a statement, its repeats 2 to 4 and ever fewer later ones are looked at", () => {
  const policy = new SitePolicy("repeats");
  expect(taken(policy, span(), 40).numbers).toEqual([1, 2, 3, 4, 8, 16, 32]);
});

test("below the next parent the first is not looked at again within a second", () => {
  const policy = new SitePolicy("repeats");
  taken(policy, span(), 1);
  const { spans, numbers } = taken(policy, span(), 6);
  expect(numbers).toEqual([2, 3, 4]);
  for (const query of spans) expect(query.site ?? siblingSite(query)).toEqual(at(7));
});

test("a statement alone has no place but its own", () => {
  const policy = new SitePolicy("repeats");
  taken(policy, span(), 1);
  const { spans } = taken(policy, span(), 1);
  expect(siblingSite(spans[0]!)).toBeUndefined();
});

test("between siblings that were made at different lines there is no place, and beside them there is", () => {
  // Stacks are taken at 1 to 4, 8 and 16; the second loop begins at 6.
  const { spans } = taken(new SitePolicy("repeats"), span(), 20, (number) => (number < 6 ? 7 : 9));
  expect([5, 6, 7].map((number) => siblingSite(spans[number - 1]!))).toEqual([undefined, undefined, undefined]);
  for (const number of [9, 15, 17, 20]) expect(siblingSite(spans[number - 1]!)).toEqual(at(9));
});

test("a statement is looked at again when a second is over", () => {
  const policy = new SitePolicy("repeats");
  taken(policy, span(), 1);
  const later = span();
  later.startedAt += 1_001;
  expect(policy.wants(later, span(), "SELECT 1")).toBe(true);
});

test("always means always", () => {
  expect(taken(new SitePolicy("always"), span(), 12).numbers).toHaveLength(12);
});

test("statements that differ in their values alone are repeats of one", () => {
  const policy = new SitePolicy("repeats");
  const parent = span();
  const wanted = Array.from({ length: 8 }, (_, id) =>
    policy.wants(span(), parent, `SELECT * FROM books WHERE id = ${id} AND title <> 'it''s ${id}'`),
  );
  expect(wanted).toEqual([true, true, true, true, false, false, false, true]);
});
