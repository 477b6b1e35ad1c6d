// Known loops: where an operation repeats a statement, so that under load not every request has its stack taken.
import { ATTR_URL_PATH } from "@opentelemetry/semantic-conventions";
import type { RawFrame } from "./call-site.ts";
import { urlTemplate } from "./route.ts";
import type { RecordedSpan } from "./span.ts";

// So many parents of one loop are looked at in each interval, whatever is known already: a stack costs more than a span.
const parentsLookedAt = 20;
const intervalMs = 1_000;
// Where two places were seen, nobody is lent one for so long.
const doubtMs = 10_000;
const knownOperations = 2_000;

/** One statement that repeats below one kind of parent. */
export class KnownLoop {
  #site: RawFrame[] | undefined;
  #since = 0;
  #lookedAt = 0;
  #doubtedUntil = 0;

  /** Undefined where the next parent's repeats must be looked at themselves; `now` is of the process's clock. */
  siteFor(now: number): RawFrame[] | undefined {
    if (this.#site === undefined || now < this.#doubtedUntil) return undefined;
    if (now - this.#since >= intervalMs) {
      this.#since = now;
      this.#lookedAt = 0;
    }
    if (this.#lookedAt >= parentsLookedAt) return this.#site;
    this.#lookedAt += 1;
    return undefined;
  }

  seen(site: RawFrame[], now: number): void {
    if (this.#site !== undefined && !sameLines(this.#site, site)) this.#doubtedUntil = now + doubtMs;
    this.#site = site;
  }
}

export class KnownLoops {
  readonly #loops = new Map<string, Map<string, KnownLoop>>();
  readonly #templates = new Map<string, string>();
  #count = 0;

  /** The loop of `statement` below spans like `parent`: a request's route as its path shows it, else the span's name. */
  below(parent: RecordedSpan, statement: string): KnownLoop {
    const path = parent.attributes[ATTR_URL_PATH];
    const operation = typeof path === "string" ? `${parent.name} ${this.#templateOf(path)}` : parent.name;
    let operations = this.#loops.get(statement);
    let loop = operations?.get(operation);
    if (loop) return loop;
    if (this.#count >= knownOperations) {
      this.#loops.clear();
      this.#count = 0;
      operations = undefined;
    }
    if (!operations) {
      operations = new Map();
      this.#loops.set(statement, operations);
    }
    loop = new KnownLoop();
    operations.set(operation, loop);
    this.#count += 1;
    return loop;
  }

  #templateOf(path: string): string {
    let template = this.#templates.get(path);
    if (template === undefined) {
      template = urlTemplate(path);
      if (this.#templates.size >= knownOperations) this.#templates.clear();
      this.#templates.set(path, template);
    }
    return template;
  }
}

export function sameLines(left: RawFrame[], right: RawFrame[]): boolean {
  if (left.length !== right.length) return false;
  return left.every((frame, index) => frame.line === right[index]?.line && frame.file === right[index]?.file);
}
