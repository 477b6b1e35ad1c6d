// Statistics of a proof: the median, the tail, and a t interval over boots.

/** Two-sided 97.5 % quantiles of Student's t by degrees of freedom, from 1. */
const t975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131];

export function quantile(values: readonly number[], q: number): number {
  if (values.length === 0) return 0;
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * q;
  const low = Math.floor(place);
  const high = Math.ceil(place);
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (place - low);
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/**
 * The ratio after/before with its 95 % interval. Each value is one boot's median of paired log ratios: requests of one
 * process are not independent, boots are.
 */
export function ratioInterval(logRatios: readonly number[]): { value: number; low: number; high: number } {
  const n = logRatios.length;
  if (n === 0) return { value: 1, low: 0, high: Number.MAX_SAFE_INTEGER };
  const mean = logRatios.reduce((sum, value) => sum + value, 0) / n;
  if (n === 1) return { value: Math.exp(mean), low: 0, high: Number.MAX_SAFE_INTEGER };
  const variance = logRatios.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const half = (t975[n - 2] ?? 2.1) * Math.sqrt(variance / n);
  return { value: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) };
}
