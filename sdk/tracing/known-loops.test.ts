// Known loops: when the next request's repeats have the place that those before them had, and when they are looked at.
import { SpanKind } from "@opentelemetry/api";
import { expect, test } from "vitest";
import type { RawFrame } from "./call-site.ts";
import { noteSite, SitePolicy, siblingSite } from "./site-policy.ts";
import { newTraceIds, RecordedSpan } from "./span.ts";

const at = (line: number): RawFrame[] => [{ file: "/app/a.ts", line, column: 1, name: "load" }];

function request(path: string): RecordedSpan {
  const scope = { name: "test", version: "" };
  const attributes = { "url.path": path };
  return new RecordedSpan(scope, "GET", SpanKind.SERVER, newTraceIds(), undefined, undefined, attributes, () => {});
}

/** One request with `count` queries, milliseconds after the first one; answers which were looked at, and all places. */
function served(policy: SitePolicy, afterMs: number, { path = "/orders/1", count = 5, line = 7 } = {}) {
  const parent = request(path);
  const spans = Array.from({ length: count }, () => {
    const query = request(path);
    query.startedAt = 1_000 + afterMs;
    if (policy.wants(query, parent, "SELECT 1")) {
      query.site = at(line);
      noteSite(query);
    }
    return query;
  });
  return {
    numbers: spans.flatMap((query, index) => (query.site ? [index + 1] : [])),
    places: spans.map((query) => query.site ?? siblingSite(query)),
  };
}

/** So many requests that the loop is known. */
function busy(policy: SitePolicy, afterMs: number, options?: Parameters<typeof served>[2]): void {
  for (let count = 0; count < 40; count++) served(policy, afterMs, options);
}

test("under load a loop is looked at in 20 requests a second, and the rest has the place of these", () => {
  const policy = new SitePolicy("repeats");
  const looked = Array.from(
    { length: 100 },
    (_, id) => served(policy, 1, { path: `/orders/${id}` }).numbers.length > 0,
  );
  // The first one made it known.
  expect(looked.filter(Boolean)).toHaveLength(21);
  expect(served(policy, 500).places).toEqual(Array.from({ length: 5 }, () => at(7)));
  expect(served(policy, 1_002).numbers).toEqual([1, 2, 3, 4]);
});

test("the later repeats of a known loop are looked at, so that another place among them shows", () => {
  const policy = new SitePolicy("repeats");
  busy(policy, 1);
  const { numbers, places } = served(policy, 500, { count: 10, line: 9 });
  expect(numbers).toEqual([8]);
  // Between the known place and the one that was seen there is none.
  expect(places.slice(1, 8)).toEqual([at(7), ...Array.from({ length: 5 }, () => undefined), at(9)]);
  expect(served(policy, 501).numbers).toEqual([2, 3, 4]);
});

test("where the same statement was seen at two places, every request is looked at for ten seconds", () => {
  const policy = new SitePolicy("repeats");
  busy(policy, 1);
  served(policy, 1_002, { line: 9 });
  for (let count = 0; count < 100; count++) expect(served(policy, 5_000, { line: 9 }).places).not.toContain(undefined);
  expect(served(policy, 5_000, { line: 9 }).numbers).toEqual([2, 3, 4]);
  busy(policy, 12_000, { line: 9 });
  expect(served(policy, 12_000, { line: 9 }).numbers).toEqual([]);
});

test("another route with the same statement is a loop of its own", () => {
  const policy = new SitePolicy("repeats");
  busy(policy, 1);
  expect(served(policy, 2, { path: "/customers/1", line: 9 }).numbers).toEqual([2, 3, 4]);
  expect(served(policy, 2).places).toEqual(Array.from({ length: 5 }, () => at(7)));
});
