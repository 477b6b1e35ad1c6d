// Statistics of a proof: the median, the tail, and a t interval over boots.

/** Student's t by degrees of freedom from 1: two-sided 95 %, and 97.5 % where the interval is looked at twice. */
const quantiles = {
  once: [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201],
  twice: [25.452, 6.205, 4.177, 3.495, 3.163, 2.969, 2.841, 2.752, 2.685, 2.634, 2.593],
};

export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const low = Math.floor(place);
  const high = Math.ceil(place);
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (place - low);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export interface Ratio {
  value: number;
  low: number;
  high: number;
}

/**
 * The ratio after/before with its 95 % interval. With `looks: "twice"` it holds also when more boots are added
 * because the first look was not decisive. Each value is one boot's median of paired log ratios: requests of one
 * process are not independent, boots are.
 */
export function ratioInterval(logRatios: readonly number[], looks: "once" | "twice" = "once"): Ratio {
  const n = logRatios.length;
  if (n === 0) return { value: 1, low: 0, high: Number.MAX_SAFE_INTEGER };
  const mean = logRatios.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { value: Math.exp(mean), low: 0, high: Number.MAX_SAFE_INTEGER };
  const variance = logRatios.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const half = (quantiles[looks][n - 2] ?? quantiles[looks].at(-1)!) * Math.sqrt(variance / n);
  return { value: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
}
