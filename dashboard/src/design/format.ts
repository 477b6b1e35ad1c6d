// Format: numbers, durations, shares and times as people read them.
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const small = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

/** At most two digits after the point, none where they do not matter; below 0.1 the first two that are not zero. */
export function number(value: number): string {
  const size = Math.abs(value);
  return (size >= 100 ? whole : size >= 10 ? one : size >= 0.1 ? short : small).format(value);
}

/** Always two digits after the point, so that ratios stand in line. */
export const ratio = (value: number) => value.toFixed(2);

export const percent = (share: number) => `${number(share * 100)} %`;

export function milliseconds(value: number): string {
  if (value >= 60_000) return seconds(value / 1000);
  if (value >= 1000) return `${number(value / 1000)} s`;
  if (value > 0 && value < 1) return `${whole.format(value * 1000)} µs`;
  return `${number(value)} ms`;
}

export function seconds(value: number): string {
  if (value < 60) return `${one.format(value)} s`;
  const minutes = Math.floor(value / 60);
  return minutes < 60 ? `${minutes} m ${Math.round(value % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
}

export const commit = (hash: string) => hash.slice(0, 7);

export const place = (file: string | null, line: number | null) => (file ? `${file}${line ? `:${line}` : ""}` : null);

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const steps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

export function ago(time: string | number): string {
  const past = (new Date(time).getTime() - Date.now()) / 1000;
  for (const [unit, size] of steps) {
    if (Math.abs(past) >= size) return relative.format(Math.trunc(past / size), unit);
  }
  return past > 0 ? "in a moment" : "just now";
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dateFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

export const clock = (time: string | number) => clockFormat.format(new Date(time));
export const date = (time: string | number) => dateFormat.format(new Date(time));

export const plural = (count: number, singular: string, many = `${singular}s`) =>
  `${whole.format(count)} ${count === 1 ? singular : many}`;
