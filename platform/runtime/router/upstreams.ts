// The instances as the router knows them: a connection pool each, what is in flight, and which one takes the next request.
import { EventEmitter } from "node:events";
import { Agent } from "node:http";
import type { RoutingTable, Target } from "./table.ts";

/** Both sides; cookies and tokens of real apps exceed Node's 16 KiB. */
export const maxHeaderSize = 64 * 1024;

/**
 * How an attempt ended. `refused`: no connection, nothing was sent. `stale`: a pooled connection was closed by the instance
 * just as it was used, and the request is safe to repeat. `broken`: a connection made for this request ended before an answer,
 * which a kernel also does with connections that a killed instance never took; the request is safe to repeat (RFC 9110 §9.2.2).
 * `done`: the client has an answer or is gone.
 */
export type Outcome = "done" | "refused" | "stale" | "broken";

/** How long a target that refused a connection is passed over while others can be asked. */
const downMs = 500;

/** One instance: its pool, and its requests with the long ones (event streams, WebSockets) counted apart. */
export class Upstream {
  readonly target: Target;
  readonly agent = new Agent({ keepAlive: true, maxFreeSockets: 256, scheduling: "lifo" });
  inFlight = 0;
  /** Sockets that stay open for as long as the client wants; a drain does not wait for them. */
  readonly long = new Set<{ destroy(): void }>();
  downUntil = 0;
  /** True once it left the table: it gets no new request. */
  retired = false;

  constructor(target: Target) {
    this.target = target;
  }
}

/** All upstreams of the table, and of those that left it while something of theirs is open. */
export class Upstreams extends EventEmitter<{ changed: []; idle: [] }> {
  readonly #byId = new Map<string, Upstream>();
  #groups = new Map<string, { expected: number; upstreams: Upstream[] }>();
  #turn = 0;

  constructor() {
    super();
    this.setMaxListeners(0);
  }

  /** Takes over a table; instances that are in the old and the new keep their pools. */
  set(table: RoutingTable): void {
    const groups = new Map<string, { expected: number; upstreams: Upstream[] }>();
    const kept = new Set<string>();
    for (const [name, group] of Object.entries(table.groups)) {
      const upstreams = group.targets.map((target) => {
        let upstream = this.#byId.get(target.id);
        if (!upstream || upstream.target.port !== target.port || upstream.target.host !== target.host) {
          upstream = new Upstream(target);
          this.#byId.set(target.id, upstream);
        }
        upstream.retired = false;
        kept.add(target.id);
        return upstream;
      });
      groups.set(name, { expected: group.expected, upstreams });
    }
    this.#groups = groups;
    for (const upstream of this.#byId.values()) {
      if (kept.has(upstream.target.id)) continue;
      upstream.retired = true;
      this.#forgetWhenDone(upstream);
    }
    this.emit("changed");
  }

  /** How many instances the group should have. */
  expected(group: string): number {
    return this.#groups.get(group)?.expected ?? 0;
  }

  /** The instance with the least in flight, in turn among equals; those in `not` and those that just refused are passed over. */
  pick(group: string, not: ReadonlySet<Upstream>): Upstream | undefined {
    const upstreams = this.#groups.get(group)?.upstreams ?? [];
    const now = performance.now();
    let best: Upstream | undefined;
    this.#turn++;
    for (let index = 0; index < upstreams.length; index++) {
      const upstream = upstreams[(index + this.#turn) % upstreams.length]!;
      if (not.has(upstream) || upstream.downUntil > now) continue;
      if (!best || upstream.inFlight < best.inFlight) best = upstream;
    }
    return best;
  }

  begin(upstream: Upstream): void {
    upstream.inFlight++;
  }

  /** Once for each `begin`: when the request is answered or has become a long one. */
  end(upstream: Upstream): void {
    upstream.inFlight--;
    if (upstream.inFlight === 0) {
      this.emit("idle");
      this.#forgetWhenDone(upstream);
    }
  }

  refused(upstream: Upstream): void {
    upstream.downUntil = performance.now() + downMs;
  }

  hold(upstream: Upstream, long: { destroy(): void }): void {
    upstream.long.add(long);
  }

  release(upstream: Upstream, long: { destroy(): void }): void {
    upstream.long.delete(long);
    this.#forgetWhenDone(upstream);
  }

  /** Resolves with true when none of these has a request in flight, with false after `limitMs`. Their idle connections are closed. */
  async drain(ids: readonly string[], limitMs: number): Promise<boolean> {
    const busy = () => ids.some((id) => (this.#byId.get(id)?.inFlight ?? 0) > 0);
    if (busy()) {
      await new Promise<void>((resolve) => {
        const check = () => {
          if (busy()) return;
          done();
        };
        const done = () => {
          clearTimeout(timer);
          this.off("idle", check);
          resolve();
        };
        const timer = setTimeout(done, limitMs);
        this.on("idle", check);
      });
    }
    const drained = !busy();
    for (const id of ids) {
      const upstream = this.#byId.get(id);
      // Only when it is idle: destroying an agent also destroys the sockets in use.
      if (upstream?.retired && upstream.inFlight === 0) upstream.agent.destroy();
    }
    return drained;
  }

  /** Closes the long connections to these instances. */
  cut(ids: readonly string[]): void {
    for (const id of ids) for (const long of [...(this.#byId.get(id)?.long ?? [])]) long.destroy();
  }

  stats(): { id: string; inFlight: number; long: number; retired: boolean }[] {
    return [...this.#byId.values()].map((upstream) => ({
      id: upstream.target.id,
      inFlight: upstream.inFlight,
      long: upstream.long.size,
      retired: upstream.retired,
    }));
  }

  #forgetWhenDone(upstream: Upstream): void {
    if (!upstream.retired || upstream.inFlight > 0 || upstream.long.size > 0) return;
    upstream.agent.destroy();
    if (this.#byId.get(upstream.target.id) === upstream) this.#byId.delete(upstream.target.id);
  }
}
