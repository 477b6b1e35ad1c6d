// The line of the author's code that called one of the SDK's functions, so that spans can point at it.

/** A place in source: `file` is what the stack says, without `file://`. */
export interface SourceLocation {
  readonly file: string;
  readonly line: number;
}

const frame = /^\s+at (?:.* \()?(?:file:\/\/)?(.+?):(\d+):\d+\)?$/m;

/**
 * Where `entry` was called. `entry` is the public function itself: V8 leaves out its frame and all inside it,
 * which holds also when the SDK is bundled into the app.
 */
export function callerOf(entry: (...args: never[]) => unknown): SourceLocation | undefined {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = 1;
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, entry);
  // Reading is what formats the stack, source maps included.
  const stack = holder.stack;
  Error.stackTraceLimit = before;
  const match = typeof stack === "string" ? frame.exec(stack) : null;
  if (match?.[1] === undefined) return undefined;
  // `tsdev dev` loads a file that was edited under a version.
  return { file: decodePath(match[1].replace(/\?tsdev=\d+$/, "")), line: Number(match[2]) };
}

function decodePath(path: string): string {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}
