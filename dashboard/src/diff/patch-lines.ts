// Patch lines: a patch as the lines that are shown, with their numbers and the words that changed within a line.
import { diffWordsWithSpace, parsePatch, type StructuredPatch, structuredPatch } from "diff";

export interface DiffLine {
  kind: "same" | "removed" | "added";
  text: string;
  oldNumber: number | null;
  newNumber: number | null;
  /** Ranges of characters that changed, where the line has a counterpart that is mostly the same. */
  changed: [from: number, to: number][];
}

export interface DiffHunk {
  header: string;
  lines: DiffLine[];
}

export interface DiffFile {
  path: string;
  hunks: DiffHunk[];
  added: number;
  removed: number;
  /** Whole texts, where they are known: colours of a line depend on what is above it. */
  texts: { before: string; after: string } | null;
}

const contextLines = 4;
/** Below this share of equal characters, marking words only makes noise. */
const leastAlike = 0.45;

/** From the whole texts before and after. */
export function fromTexts(files: { path: string; before: string; after: string }[]): DiffFile[] {
  return files.map(({ path, before, after }) =>
    toFile(structuredPatch(path, path, before, after, undefined, undefined, { context: contextLines }), {
      before,
      after,
    }),
  );
}

/** From a unified diff of one or more files. */
export function fromUnified(diff: string): DiffFile[] {
  return parsePatch(diff)
    .filter((patch) => patch.hunks.length > 0)
    .map((patch) => toFile(patch, null));
}

function toFile(patch: StructuredPatch, texts: DiffFile["texts"]): DiffFile {
  const hunks = patch.hunks.map((hunk) => {
    let oldNumber = hunk.oldStart;
    let newNumber = hunk.newStart;
    const lines = hunk.lines
      .filter((line) => !line.startsWith("\\"))
      .map((line): DiffLine => {
        const text = line.slice(1);
        if (line[0] === "-") return { kind: "removed", text, oldNumber: oldNumber++, newNumber: null, changed: [] };
        if (line[0] === "+") return { kind: "added", text, oldNumber: null, newNumber: newNumber++, changed: [] };
        return { kind: "same", text, oldNumber: oldNumber++, newNumber: newNumber++, changed: [] };
      });
    markWords(lines);
    return { header: `@@ -${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`, lines };
  });
  const count = (kind: DiffLine["kind"]) =>
    hunks.reduce((sum, hunk) => sum + hunk.lines.filter((line) => line.kind === kind).length, 0);
  const name = patch.newFileName === "/dev/null" ? patch.oldFileName : patch.newFileName;
  return {
    path: (name ?? "").replace(/^[ab]\//, ""),
    hunks,
    added: count("added"),
    removed: count("removed"),
    texts,
  };
}

/** Removed lines beside the added lines that follow them, as pairs; a side that has fewer lines gets nulls. */
export function pairs(lines: DiffLine[]): [DiffLine | null, DiffLine | null][] {
  const rows: [DiffLine | null, DiffLine | null][] = [];
  for (let index = 0; index < lines.length; ) {
    const line = lines[index] as DiffLine;
    if (line.kind === "same") {
      rows.push([line, line]);
      index++;
      continue;
    }
    const removed: DiffLine[] = [];
    const added: DiffLine[] = [];
    for (; lines[index] && lines[index]?.kind !== "same"; index++) {
      const one = lines[index] as DiffLine;
      (one.kind === "removed" ? removed : added).push(one);
    }
    for (let row = 0; row < Math.max(removed.length, added.length); row++) {
      rows.push([removed[row] ?? null, added[row] ?? null]);
    }
  }
  return rows;
}

function markWords(lines: DiffLine[]): void {
  for (const [before, after] of pairs(lines)) {
    if (!before || !after || before === after) continue;
    const parts = diffWordsWithSpace(before.text, after.text);
    const equal = parts
      .filter((part) => !part.added && !part.removed)
      .reduce((sum, part) => sum + part.value.length, 0);
    if (equal < leastAlike * Math.max(before.text.length, after.text.length)) continue;
    let oldAt = 0;
    let newAt = 0;
    for (const { value, added, removed } of parts) {
      if (removed) before.changed.push([oldAt, oldAt + value.length]);
      if (added) after.changed.push([newAt, newAt + value.length]);
      if (!added) oldAt += value.length;
      if (!removed) newAt += value.length;
    }
  }
}
