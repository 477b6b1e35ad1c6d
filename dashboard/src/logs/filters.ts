// Log filters: what the explorer asks for, as it stands in the address.
import type { Severity } from "../api/types.ts";
import type { Address } from "../telemetry/use-address.ts";

export const severities: Severity[] = ["trace", "debug", "info", "warn", "error", "fatal"];

export interface LogFilters {
  search: string;
  /** This severity or a higher one. */
  severity: Severity;
  service: string;
  trace: string;
  /** `key=value`, each of which must hold. */
  attributes: string[];
}

const traceId = /^[0-9a-f]{32}$/i;

export function filtersIn(address: Address): LogFilters {
  const severity = address.get("severity") as Severity | null;
  const trace = address.get("trace") ?? "";
  return {
    search: address.get("search") ?? "",
    severity: severity && severities.includes(severity) ? severity : "trace",
    service: address.get("service") ?? "",
    trace: traceId.test(trace) ? trace.toLowerCase() : "",
    attributes: address.all("attribute").filter((one) => one.indexOf("=") > 0),
  };
}

export const narrowed = (filters: LogFilters) =>
  filters.search !== "" ||
  filters.severity !== "trace" ||
  filters.service !== "" ||
  filters.trace !== "" ||
  filters.attributes.length > 0;

/** As the API takes them. */
export function inputOf(filters: LogFilters) {
  return {
    ...(filters.search ? { search: filters.search } : {}),
    ...(filters.severity === "trace" ? {} : { severity: filters.severity }),
    ...(filters.service ? { service: filters.service } : {}),
    ...(filters.trace ? { trace: filters.trace } : {}),
    ...(filters.attributes.length > 0 ? { attributes: filters.attributes } : {}),
  };
}
