// Time: how long ago, with the exact time on hover.
import { ago, date } from "./format.ts";

export function Ago({ time }: { time: string | number }) {
  return (
    <time dateTime={new Date(time).toISOString()} title={date(time)}>
      {ago(time)}
    </time>
  );
}
