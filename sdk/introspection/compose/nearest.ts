// Nearest: the known name that an unknown one was most likely meant to be.

export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const one of known) {
    const far = distance(name.toLowerCase(), one.toLowerCase());
    if (!best || far < best.distance) best = { name: one, distance: far };
  }
  return best && best.distance <= Math.max(2, name.length / 2) ? best.name : undefined;
}

/** Edit distance, two rows at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
