// Buckets of an exponential histogram as those with bounds, which is what Prometheus's text format has.

/** Four buckets for each doubling: finer ones are joined, exactly, so that no series has hundreds of them. */
const mostScale = 2;

export interface ExponentialCounts {
  scale: number;
  zeros: number | string;
  positiveOffset: number;
  positive: readonly (number | string)[];
  negativeOffset: number;
  negative: readonly (number | string)[];
}

/** `counts` has one more than `bounds`. Bucket i of OTLP holds values in (base^i, base^(i+1)], base = 2^(2^-scale). */
export function exponentialBuckets(of: ExponentialCounts): { bounds: number[]; counts: number[] } {
  const scale = Math.min(of.scale, mostScale);
  const joined = (offset: number, buckets: readonly (number | string)[]) => {
    const sums = new Map<number, number>();
    for (const [at, count] of buckets.entries()) {
      // Not >>, which takes 32 bits of the shift's sum only: floor of the division is what joins buckets.
      const index = Math.floor((offset + at) / 2 ** (of.scale - scale));
      sums.set(index, (sums.get(index) ?? 0) + Number(count));
    }
    return [...sums].sort(([a], [b]) => a - b);
  };
  const bound = (index: number) => 2 ** (index * 2 ** -scale);
  const bounds: number[] = [];
  const counts: number[] = [];
  const put = (upper: number, count: number) => {
    if (!Number.isFinite(upper)) return;
    bounds.push(upper);
    counts.push(count);
  };
  const negative = joined(of.negativeOffset, of.negative);
  const positive = joined(of.positiveOffset, of.positive);
  for (const [index, count] of negative.reverse()) put(-bound(index), count);
  if (negative.length > 0 || Number(of.zeros) > 0) put(0, Number(of.zeros));
  for (const [index, count] of positive) put(bound(index + 1), count);
  counts.push(0);
  return { bounds, counts };
}
