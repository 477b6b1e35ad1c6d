// Time range: how far back a page looks, or the stretch that was chosen in a chart; both are in the address.
import { clock, date } from "../design/format.ts";
import type { Address } from "./use-address.ts";

const choices = ["15m", "1h", "6h", "1d", "7d"];
const unitMs: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export interface TimeRange {
  /** As the API takes it: `1h`, or an ISO time. */
  since: string;
  /** Absent: until now. */
  until: string | undefined;
}

export function timeRangeIn(address: Address, usual = "1h"): TimeRange {
  return { since: address.get("since") ?? usual, until: address.get("until") ?? undefined };
}

/** Milliseconds since the epoch. */
export function limitsOf(range: TimeRange, now = Date.now()): { from: number; to: number } {
  const point = (text: string) => {
    const [, count, unit = ""] = /^(\d+)([smhd])$/.exec(text) ?? [];
    return count === undefined ? Date.parse(text) : now - Number(count) * (unitMs[unit] ?? 0);
  };
  return { from: point(range.since), to: range.until === undefined ? now : point(range.until) };
}

/** The changes of the address for a stretch chosen in a chart. Milliseconds since the epoch. */
export const stretch = (from: number, to: number) => ({
  since: new Date(Math.floor(from)).toISOString(),
  until: new Date(Math.ceil(to)).toISOString(),
});

export function TimeChoice({ address, range }: { address: Address; range: TimeRange }) {
  const chosen = !choices.includes(range.since);
  return (
    <>
      {chosen && (
        <button
          type="button"
          className="button small"
          aria-label="Show the usual time again"
          title={`${date(range.since)} to ${range.until ? date(range.until) : "now"}`}
          onClick={() => address.set({ since: null, until: null })}
        >
          {clock(range.since)}–{range.until ? clock(range.until) : "now"} ✕
        </button>
      )}
      <fieldset className="segments" aria-label="How far back">
        {choices.map((choice) => (
          <button
            key={choice}
            type="button"
            aria-pressed={range.since === choice}
            onClick={() => address.set({ since: choice, until: null })}
          >
            {choice}
          </button>
        ))}
      </fieldset>
    </>
  );
}
