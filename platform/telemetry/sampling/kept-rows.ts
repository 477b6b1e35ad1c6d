// The rows of a window that are kept, each with the number of spans that it stands for.
import type { Decisions } from "./decisions-file.ts";
import { environmentKey } from "./trace-memory.ts";
import type { Frame } from "./window-file.ts";

/** AdjustedCount is the last column of a row, a double. */
const countBytes = 8;

/**
 * In the order of the window, so that the same decisions make the same bytes. A sender that has sampled already wrote how
 * many a span stands for: both multiply. Changes `window`.
 */
export function keptRows(window: Buffer, frames: readonly Frame[], decisions: Decisions): Buffer {
  let length = 0;
  for (const frame of frames) {
    const weights = decisions.get(environmentKey(frame.tenant));
    const byPart = frame.parts.map(({ traceId }) => weights?.get(traceId) ?? 1);
    let start = frame.from;
    for (const [row, end] of frame.ends.entries()) {
      const rowEnd = frame.from + end;
      const weight = byPart[frame.partOf[row]!]!;
      if (weight > 0) {
        const count = rowEnd - countBytes;
        window.writeDoubleLE(window.readDoubleLE(count) * weight, count);
        // What is kept moves to the front: it never passes what is still to be read.
        window.copy(window, length, start, rowEnd);
        length += rowEnd - start;
      }
      start = rowEnd;
    }
  }
  return window.subarray(0, length);
}
