// Distributions as OpenTelemetry sends them, with explicit or exponential buckets: what was added, sums of them, quantiles.

/** Counts within explicit bounds; there is one count more than there are bounds. */
export interface ExplicitDistribution {
  kind: "explicit";
  bounds: readonly number[];
  counts: readonly number[];
}

/** Counts by index: of scale s, index i is the bucket (b^i, b^(i+1)] with b = 2^(2^-s) (OTLP's data model). */
export interface ExponentialDistribution {
  kind: "exponential";
  scale: number;
  zero: number;
  positive: ReadonlyMap<number, number>;
  negative: ReadonlyMap<number, number>;
}

export type Distribution = ExplicitDistribution | ExponentialDistribution;

/** How many values lie above `from` and up to `to`. */
export interface Bucket {
  from: number;
  to: number;
  count: number;
}

/** One whose scale is smaller has wider buckets: 2^n of the finer ones each, so that counts are merged exactly. */
export function coarser(one: ExponentialDistribution, scale: number): ExponentialDistribution {
  if (scale >= one.scale) return one;
  const width = 2 ** (one.scale - scale);
  const merged = (counts: ReadonlyMap<number, number>) => {
    const result = new Map<number, number>();
    for (const [index, count] of counts) {
      const wide = Math.floor(index / width);
      result.set(wide, (result.get(wide) ?? 0) + count);
    }
    return result;
  };
  return { ...one, scale, positive: merged(one.positive), negative: merged(one.negative) };
}

/** Null where the two have different bounds or kinds and cannot be one. */
export function sumOf(a: Distribution, b: Distribution): Distribution | null {
  return combined(a, b, 1);
}

/** What was added from `before` to `now`; null where a count fell or the buckets are others: the process began anew. */
export function addedSince(before: Distribution, now: Distribution): Distribution | null {
  const added = combined(now, before, -1);
  if (added === null) return null;
  const counts =
    added.kind === "explicit" ? added.counts : [added.zero, ...added.positive.values(), ...added.negative.values()];
  return counts.some((count) => count < 0) ? null : added;
}

function combined(a: Distribution, b: Distribution, sign: 1 | -1): Distribution | null {
  if (a.kind === "explicit" || b.kind === "explicit") {
    if (a.kind !== "explicit" || b.kind !== "explicit" || String(a.bounds) !== String(b.bounds)) return null;
    return { ...a, counts: a.counts.map((count, at) => count + sign * (b.counts[at] ?? 0)) };
  }
  const scale = Math.min(a.scale, b.scale);
  const [left, right] = [coarser(a, scale), coarser(b, scale)];
  const both = (x: ReadonlyMap<number, number>, y: ReadonlyMap<number, number>) => {
    const result = new Map(x);
    for (const [index, count] of y) result.set(index, (result.get(index) ?? 0) + sign * count);
    return result;
  };
  return {
    kind: "exponential",
    scale,
    zero: left.zero + sign * right.zero,
    positive: both(left.positive, right.positive),
    negative: both(left.negative, right.negative),
  };
}

/** At most about `most` buckets of each sign, from the lowest up, none of them empty. */
export function bucketsOf(one: Distribution, most = Number.POSITIVE_INFINITY): Bucket[] {
  if (one.kind === "explicit") {
    return one.counts.flatMap((count, at) => {
      if (count <= 0) return [];
      const [first, last] = [one.bounds[0] ?? 0, one.bounds.at(-1) ?? 0];
      // Prometheus's convention for the open ends: from 0 where bounds are positive, and no further than the last bound.
      const from = at === 0 ? Math.min(0, first) : one.bounds[at - 1]!;
      return [{ from, to: one.bounds[at] ?? last, count }];
    });
  }
  let fitting = one;
  while (Math.max(fitting.positive.size, fitting.negative.size) > most) fitting = coarser(fitting, fitting.scale - 1);
  const edge = (index: number) => 2 ** (index * 2 ** -fitting.scale);
  const negative = [...fitting.negative].map(([index, count]) => ({ from: -edge(index + 1), to: -edge(index), count }));
  const positive = [...fitting.positive].map(([index, count]) => ({ from: edge(index), to: edge(index + 1), count }));
  return [...negative, { from: 0, to: 0, count: fitting.zero }, ...positive]
    .filter(({ count }) => count > 0)
    .sort((a, b) => a.from - b.from || a.to - b.to);
}

/**
 * The value below which the share `q` of all lies: straight between the bounds of an explicit bucket, and by equal
 * factors within an exponential one, as Prometheus does. Null where nothing was recorded.
 */
export function quantileOf(one: Distribution, q: number): number | null {
  const buckets = bucketsOf(one);
  const total = buckets.reduce((sum, { count }) => sum + count, 0);
  if (total === 0) return null;
  let before = 0;
  for (const { from, to, count } of buckets) {
    if (before + count >= q * total) {
      const share = Math.max(0, (q * total - before) / count);
      if (one.kind === "explicit" || from === to) return from + (to - from) * share;
      return from > 0 ? from * (to / from) ** share : -(-from * (to / from) ** share);
    }
    before += count;
  }
  return buckets.at(-1)!.to;
}
