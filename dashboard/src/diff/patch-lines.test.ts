// Patch lines: numbers, pairs of lines side by side, and the words that changed.
import { expect, test } from "vitest";
import { type DiffLine, fromTexts, fromUnified, pairs } from "./patch-lines.ts";

const before = "const a = 1;\nconst name = one(id);\nconst z = 9;\n";
const after = "const a = 1;\nconst name = all(id);\nconst more = 2;\nconst z = 9;\n";

test("a changed line stands beside its new self, with only the changed words marked", () => {
  const [file] = fromTexts([{ path: "a.ts", before, after }]);
  const rows = pairs(file?.hunks[0]?.lines ?? []);
  const numbers = rows.map(([left, right]) => [left?.oldNumber ?? null, right?.newNumber ?? null]);
  expect(numbers).toEqual([
    [1, 1],
    [2, 2],
    [null, 3],
    [3, 4],
  ]);
  const marked = (line: DiffLine | null | undefined) => line?.changed.map(([from, to]) => line.text.slice(from, to));
  expect(marked(rows[1]?.[0])).toEqual(["one"]);
  expect(marked(rows[1]?.[1])).toEqual(["all"]);
});

test("a line that has become another one has no marks", () => {
  const [file] = fromTexts([{ path: "a.ts", before: "return rows[0];\n", after: "throw new Error('none');\n" }]);
  expect(file?.hunks[0]?.lines.flatMap((line) => line.changed)).toEqual([]);
});

test("a unified diff of git is read with its files, also where a file has no newline at its end", () => {
  const files = fromUnified(
    [
      "diff --git a/src/a.ts b/src/a.ts",
      "index 1111111..2222222 100644",
      "--- a/src/a.ts",
      "+++ b/src/a.ts",
      "@@ -1,2 +1,2 @@",
      " const a = 1;",
      "-const b = 2;",
      "\\ No newline at end of file",
      "+const b = 3;",
      "\\ No newline at end of file",
      "diff --git a/b.md b/b.md",
      "new file mode 100644",
      "--- /dev/null",
      "+++ b/b.md",
      "@@ -0,0 +1 @@",
      "+hello",
      "",
    ].join("\n"),
  );
  expect(files.map(({ path, added, removed }) => [path, added, removed])).toEqual([
    ["src/a.ts", 1, 1],
    ["b.md", 1, 0],
  ]);
});

test("an empty diff has no files", () => {
  expect(fromUnified("")).toEqual([]);
});
