// Pieces: the bars of one row within the stretch that is shown; those too close to be told apart are one.

export interface Piece {
  /** Percent of the stretch. */
  left: number;
  width: number;
  className: string;
}

/** Percent: finer than a pixel on any screen. */
const finest = 0.04;

export function pieces(
  stretches: readonly { start: number; end: number; className: string }[],
  view: { start: number; end: number },
): Piece[] {
  const total = view.end - view.start;
  const result: Piece[] = [];
  for (const { start, end, className } of stretches.toSorted((a, b) => a.start - b.start)) {
    if (end < view.start || start > view.end) continue;
    const left = ((Math.max(start, view.start) - view.start) / total) * 100;
    const right = ((Math.min(end, view.end) - view.start) / total) * 100;
    const last = result.at(-1);
    if (last && last.className === className && left - (last.left + last.width) < finest) {
      last.width = Math.max(last.width, right - last.left);
    } else {
      result.push({ left, width: right - left, className });
    }
  }
  return result;
}
