// Colours of a file's lines on both sides of a diff; null until they are there, and for languages we do not colour.
import { useEffect, useState } from "react";
import type { Token } from "./highlighter.ts";
import type { DiffFile, DiffLine } from "./patch-lines.ts";

export type TokensOf = (line: DiffLine) => Token[] | null;

const coloured = /\.[cm]?[jt]s$/;

type ByNumber = Map<number, Token[]>;

async function side(file: DiffFile, which: "before" | "after"): Promise<ByNumber> {
  const { highlight } = await import("./highlighter.ts");
  const result: ByNumber = new Map();
  if (file.texts) {
    const lines = await highlight(file.texts[which]);
    lines.forEach((tokens, index) => {
      result.set(index + 1, tokens);
    });
    return result;
  }
  const number = (line: DiffLine) => (which === "before" ? line.oldNumber : line.newNumber);
  for (const hunk of file.hunks) {
    const lines = hunk.lines.filter((line) => number(line) !== null);
    const tokens = await highlight(lines.map((line) => line.text).join("\n"));
    lines.forEach((line, index) => {
      result.set(number(line) as number, tokens[index] ?? []);
    });
  }
  return result;
}

export function useHighlighted(file: DiffFile): TokensOf | null {
  const [sides, setSides] = useState<{ before: ByNumber; after: ByNumber } | null>(null);
  useEffect(() => {
    if (!coloured.test(file.path)) return;
    let left = false;
    void Promise.all([side(file, "before"), side(file, "after")]).then(([before, after]) => {
      if (!left) setSides({ before, after });
    });
    return () => {
      left = true;
    };
  }, [file]);
  if (!sides) return null;
  return (line) =>
    (line.kind === "removed" ? sides.before.get(line.oldNumber ?? 0) : sides.after.get(line.newNumber ?? 0)) ?? null;
}
