// How many spans a stored one stands for, from the sampling threshold in its W3C trace state.

/** `th` of the list member `ot`: up to 14 hexadecimal digits, of which trailing zeros may be left out. */
const threshold = /(?:^|,)\s*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?=[;,\s]|$)/;

const all = 2n ** 56n;

/**
 * 1 without a threshold, otherwise 1 / (1 - threshold / 2^56), OpenTelemetry's adjusted count
 * (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/).
 */
export function adjustedCount(traceState: string): number {
  const digits = traceState === "" ? undefined : threshold.exec(traceState)?.[1];
  if (digits === undefined) return 1;
  // A double holds 53 bits: the difference is made of whole numbers.
  return Number(all) / Number(all - BigInt(`0x${digits.padEnd(14, "0")}`));
}
