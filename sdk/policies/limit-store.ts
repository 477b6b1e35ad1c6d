// Limit store: where rate limits of all instances are counted. Each process counts for itself unless the app gives one.

/** A place among `limit` calls within `perMs`; places come back evenly. */
export interface Place {
  readonly limit: number;
  /** Milliseconds. */
  readonly perMs: number;
  /** True: the next place is taken though it begins later. False: only one that is there now. */
  readonly reserve: boolean;
}

/**
 * What a shared limit must do, at once for all who ask. A store that throws is away: the process then counts for itself,
 * and tells of it in the log; it never fails a call.
 */
export interface LimitStore {
  /** After how many milliseconds the place begins; 0 is now. Without `reserve` a place that begins later is not taken. */
  take(key: string, place: Place): Promise<number>;
}

let shared: LimitStore | undefined;

/**
 * Lets every rate limit of this process count in `store`, together with all instances of the app. Undefined goes back to
 * counting in this process.
 *
 * @example
 * shareLimits((await redisPolicies({ prefix: "shop", connection: { host: "redis" } })).limits);
 */
export function shareLimits(store: LimitStore | undefined): void {
  shared = store;
}

/** The store that the app has given, if it has. */
export function sharedLimits(): LimitStore | undefined {
  return shared;
}
