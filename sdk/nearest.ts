// Nearest: of the known names the one that was most likely meant.

/** The nearest one, upper and lower case alike; undefined when there are none. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  return byDistance(name, known)[0]?.name;
}

/** The nearest one when it is near enough to be a slip: at most two letters off, or half of a longer name. */
export function likelyMeant(name: string, known: Iterable<string>): string | undefined {
  const [best] = byDistance(name, known);
  return best && best.distance <= Math.max(2, name.length / 2) ? best.name : undefined;
}

function byDistance(name: string, known: Iterable<string>): { name: string; distance: number }[] {
  return [...known]
    .map((one) => ({ name: one, distance: distance(name.toLowerCase(), one.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
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
