// Measured: one row of a benchmark's result, ours against a named rival in the same run.

export interface Measured {
  name: string;
  /** Medians, in `unit`. */
  ours: number;
  rival: number;
  rivalName: string;
  /** ours / rival */
  ratio: number;
  unit: string;
  n: number;
  /** 5th and 95th percentile of ours, in `unit`. */
  spread: { low: number; high: number };
}

export function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

interface Compared {
  name: string;
  unit: string;
  rivalName: string;
  ours: number[];
  rival: number[];
}

/** Of rounds that took turns: the ratio is the median of those of the rounds, and not that of the medians. */
export function pairedRatioOf(parts: Compared): Measured {
  const ratios = parts.ours.map((value, round) => value / parts.rival[round]!);
  return { ...ratioOf(parts), ratio: quantile(ratios, 0.5) };
}

export function ratioOf(parts: Compared): Measured {
  const [ours, rival] = [quantile(parts.ours, 0.5), quantile(parts.rival, 0.5)];
  return {
    name: parts.name,
    ours,
    rival,
    rivalName: parts.rivalName,
    ratio: ours / rival,
    unit: parts.unit,
    n: parts.ours.length,
    spread: { low: quantile(parts.ours, 0.05), high: quantile(parts.ours, 0.95) },
  };
}
