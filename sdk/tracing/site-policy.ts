// Site policy: of which statements the place in the source is looked for, because a stack costs more than a span.
import type { RawFrame } from "./call-site.ts";
import { type KnownLoop, KnownLoops, sameLines } from "./known-loops.ts";
import type { RecordedSpan } from "./span.ts";

/** A span, or what will become one when a pool has a connection for it. */
export type SiteHolder = Pick<RecordedSpan, "startedAt" | "repeats" | "repeatsSeen" | "site" | "entrySite">;

/** `always`: for every statement. `repeats`: where a statement repeats, and for the rest once in a while. */
export type SiteMode = "always" | "repeats";

/** What is known of one statement below one parent. */
export interface Repeats {
  count: number;
  /** Of those whose stack was taken, in their order; the first may be one that the loop is known by. */
  readonly sites: RawFrame[][];
  /** From the first repeat on. */
  loop: KnownLoop | undefined;
  /** Whether the first repeats have the place of the loop and not their own. */
  lent: boolean;
}

// Repeats 2 to 4 are enough to see a loop; later ones are looked at ever more seldom, to see that it is still that loop.
const lastOfFirst = 4;
// A statement that does not repeat is looked at this often in the whole process, milliseconds.
const intervalMs = 1_000;
const knownStatements = 2_000;
// Sequelize and MikroORM write values into the text; the repeats of a loop have one shape all the same.
const literals = /'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b/g;
const longestShaped = 4_096;

export class SitePolicy {
  readonly #always: boolean;
  readonly #lastTaken = new Map<string, number>();
  readonly #shapes = new Map<string, string>();
  readonly #loops = new KnownLoops();

  constructor(mode: SiteMode) {
    this.#always = mode === "always";
  }

  /** Counts the statement and answers whether the stack of `holder` should be taken. */
  wants(holder: SiteHolder, parent: RecordedSpan | undefined, text: string): boolean {
    if (this.#always) return true;
    const statement = this.#shapeOf(text);
    if (parent && !parent.ended) {
      parent.statements ??= new Map();
      const known = parent.statements.get(statement);
      if (known) {
        known.count += 1;
        holder.repeats = known;
        holder.repeatsSeen = known.sites.length;
        if (known.count === 2) {
          known.loop = this.#loops.below(parent, statement);
          const site = known.loop.siteFor(holder.startedAt);
          if (site) {
            known.sites.push(site);
            known.lent = true;
          }
        }
        if (known.count <= lastOfFirst) return !known.lent;
        return (known.count & (known.count - 1)) === 0;
      }
      holder.repeats = { count: 1, sites: [], loop: undefined, lent: false };
      parent.statements.set(statement, holder.repeats);
    }
    const last = this.#lastTaken.get(statement);
    if (last !== undefined && holder.startedAt - last < intervalMs) return false;
    if (this.#lastTaken.size >= knownStatements) this.#lastTaken.clear();
    this.#lastTaken.set(statement, holder.startedAt);
    return true;
  }

  #shapeOf(text: string): string {
    let shape = this.#shapes.get(text);
    if (shape === undefined) {
      shape = text.slice(0, longestShaped).replaceAll(literals, "?");
      if (this.#shapes.size >= knownStatements) this.#shapes.clear();
      this.#shapes.set(text, shape);
    }
    return shape;
  }
}

/** Remembers where a repeat was made, for its siblings and for the next ones of the loop. */
export function noteSite({ site: own, entrySite, repeats, startedAt }: SiteHolder): void {
  const site = own && own.length > 0 ? own : entrySite;
  if (!repeats || !site || site.length === 0) return;
  repeats.sites.push(site);
  repeats.loop?.seen(site, startedAt);
}

/**
 * The place of a statement whose own stack was not taken: that of the siblings before and after it whose stacks were,
 * when these agree. Otherwise it has none. Of a loop that is known the first repeats have the place it is known by.
 */
export function siblingSite({ repeats, repeatsSeen }: SiteHolder): RawFrame[] | undefined {
  if (!repeats || repeats.count < 2) return undefined;
  const before = repeats.sites[repeatsSeen - 1];
  const after = repeats.sites[repeatsSeen];
  return before && after && !sameLines(before, after) ? undefined : (before ?? after);
}
