// Rates: so many in so many seconds, in the unit that gives a number one can read; and shares of failed ones.
import { number, percent } from "../design/format.ts";

/** At least one a second is told by the second, less by the minute or the hour. */
export function rate(count: number, seconds: number): string {
  const each = seconds > 0 ? count / seconds : 0;
  if (each === 0) return "0/s";
  if (each >= 0.5) return `${number(each)}/s`;
  if (each * 60 >= 0.5) return `${number(each * 60)}/min`;
  return `${number(each * 3600)}/h`;
}

/** A share that is not nothing never reads as nothing. */
export function errorShare(errors: number, requests: number): string {
  if (errors <= 0 || requests <= 0) return "0 %";
  const share = errors / requests;
  return share < 0.0001 ? "< 0.01 %" : percent(share);
}
