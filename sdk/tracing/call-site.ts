// Call site: the frames of the app that are on the stack when an outgoing span starts.
import { createContextKey, trace } from "@opentelemetry/api";
import { activeContext } from "./active-context.ts";
import { UnsampledSpan } from "./span.ts";

/** A frame as the engine has it: `file` is a path or URL of what runs, before any source map. */
export interface RawFrame {
  file: string;
  line: number;
  column: number;
  name: string | null;
}

/** How a file counts: decided by its path at once, by its source map when the first batch is sent. */
export type FileStanding = "library" | "app" | "mapped" | "unknown";

/** Where a `pool.query` was called, for the span that starts when the pool has a client. */
export const callSiteKey = createContextKey("tsdev.call-site");

// Kysely, Knex and fetch put up to 30 frames of their own between the driver and the app's outermost frame.
const stackLimit = 40;
/** Frames that are kept of a file without a source map: what is sent. */
export const frameLimit = 5;
// A bundle's frames are the app's or a library's only once they are mapped, so more of them are kept.
const unmappedLimit = 30;

/** Takes the stack at a span's start; `standingOf` tells which frames are worth keeping. */
export class CallSites {
  readonly #standingOf: (file: string) => FileStanding;

  constructor(standingOf: (file: string) => FileStanding) {
    this.#standingOf = standingOf;
  }

  /** The app's frames above `below`, innermost first; empty when the stack was cut by a callback, or nobody will see it. */
  capture(below: (...args: never[]) => unknown): RawFrame[] {
    if (trace.getSpan(activeContext()) instanceof UnsampledSpan) return [];
    const limit = Error.stackTraceLimit;
    const prepare = Error.prepareStackTrace;
    try {
      Error.stackTraceLimit = stackLimit;
      Error.prepareStackTrace = this.#read;
      const holder: { stack?: unknown } = {};
      Error.captureStackTrace(holder, below);
      // Reading is what makes the engine call `#read`.
      const frames = holder.stack;
      return Array.isArray(frames) ? frames : [];
    } catch {
      return [];
    } finally {
      Error.stackTraceLimit = limit;
      Error.prepareStackTrace = prepare;
    }
  }

  readonly #read = (_error: Error, sites: NodeJS.CallSite[]): RawFrame[] => {
    const frames: RawFrame[] = [];
    let certain = 0;
    for (const site of sites) {
      const file = site.getFileName();
      if (!file) continue;
      const standing = this.#standingOf(file);
      if (standing === "library") continue;
      frames.push({
        file,
        line: site.getLineNumber() ?? 0,
        column: site.getColumnNumber() ?? 0,
        name: site.getFunctionName(),
      });
      if (standing === "app") certain += 1;
      if (certain >= frameLimit || frames.length >= unmappedLimit) break;
    }
    return frames;
  };
}
