// Request metrics of the router: how long requests to each group took, counted by method, status and kind of error.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Attributes } from "@opentelemetry/api";
import { type HistogramValue, Series } from "../../../sdk/metrics/series.ts";
import { httpMethods } from "../../../sdk/semantic-conventions.ts";
import type { Route } from "./table.ts";

/** OpenTelemetry's name, in seconds; its attributes follow the semantic conventions for HTTP servers. */
export const requestDuration = "http.server.request.duration";

/** Requests of one group since its first one here. */
export interface GroupRequests {
  /** As in the routing table; `control-plane` and `nowhere` for what went to no group. */
  group: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
  points: { attributes: Attributes; histogram: HistogramValue }[];
}

export interface RequestMetricsState {
  /** Upper bounds of the buckets, in seconds. */
  bounds: readonly number[];
  groups: GroupRequests[];
}

/** A group that left the table is told for so long after its last request, milliseconds: several looks of the control plane. */
const keptMs = 120_000;

/** Answers whose readers may leave at any time without that being an error. */
export const eventStreams = new WeakSet<ServerResponse>();

interface Counted {
  series: Series;
  startedAt: number;
  lastAt: number;
}

const fresh = () => new Series(requestDuration, "histogram", { unit: "s" });

export class RequestMetrics {
  readonly #groups = new Map<string, Counted>();

  /** Counts the request when its answer is over, or its client gone. */
  watch(where: Route, request: IncomingMessage, response: ServerResponse): void {
    const group = where.to === "group" ? where.group : where.to;
    const began = performance.now();
    response.once("close", () => {
      const seconds = (performance.now() - began) / 1_000;
      this.#of(group).series.record(seconds, attributesOf(request, response));
    });
  }

  /** Forgets what left the table a while ago. */
  state(isRouted: (group: string) => boolean): RequestMetricsState {
    for (const [group, { lastAt }] of this.#groups) {
      if (Date.now() - lastAt > keptMs && !isRouted(group)) this.#groups.delete(group);
    }
    return {
      bounds: fresh().bounds,
      groups: [...this.#groups].map(([group, { series, startedAt }]) => ({
        ...{ group, startedAt },
        points: [...series.points].map(({ attributes, histogram }) => ({ attributes, histogram: histogram! })),
      })),
    };
  }

  #of(group: string): Counted {
    const now = Date.now();
    let counted = this.#groups.get(group);
    if (!counted) {
      counted = { series: fresh(), startedAt: now, lastAt: now };
      this.#groups.set(group, counted);
    }
    counted.lastAt = now;
    return counted;
  }
}

function attributesOf(request: IncomingMessage, response: ServerResponse): Attributes {
  const { method = "" } = request;
  const status = response.headersSent ? response.statusCode : undefined;
  const attributes: Attributes = {
    "http.request.method": httpMethods.has(method) ? method : "_OTHER",
    "url.scheme": "http",
    "network.protocol.version": request.httpVersion,
  };
  if (status !== undefined) attributes["http.response.status_code"] = status;
  if (status !== undefined && status >= 500) attributes["error.type"] = String(status);
  else if (!response.writableFinished && !eventStreams.has(response)) attributes["error.type"] = "aborted";
  return attributes;
}
