// Module source: reads and parses files of the checkout as import specifiers name them.
import type { ReadSource } from "./patch.ts";
import { NotSure } from "./result.ts";
import { parseSource, type SourceFile } from "./source-file.ts";

/** The parsed file, or `NotSure`. */
export async function parse(path: string, read: ReadSource): Promise<SourceFile> {
  const text = await read(path);
  if (text === null) throw new NotSure("no-such-file", `the checkout has no file ${path}`);
  const file = parseSource(path, text);
  if (file === null) throw new NotSure("does-not-parse", `${path} does not parse`);
  return file;
}

/** The file that a relative specifier means: as written, `.ts` for `.js`, with an extension, or a folder's index. */
export async function resolve(path: string, read: ReadSource): Promise<SourceFile | null> {
  const stem = path.replace(/\.([mc]?)js$/, ".$1ts");
  for (const candidate of [
    stem,
    path,
    `${path}.ts`,
    `${path}.tsx`,
    `${path}.js`,
    `${path}/index.ts`,
    `${path}/index.js`,
  ]) {
    if (!/\.[mc]?[jt]sx?$/.test(candidate)) continue;
    const text = await read(candidate);
    if (text !== null) return parseSource(candidate, text);
  }
  return null;
}
