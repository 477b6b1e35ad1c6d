// Names of OpenTelemetry in Prometheus: metrics with unit and `_total`, and labels, by the compatibility specification.

/** opentelemetry-specification, compatibility/prometheus_and_openmetrics: UCUM units to Prometheus's base units. */
const units: Readonly<Record<string, string>> = {
  d: "days",
  h: "hours",
  min: "minutes",
  s: "seconds",
  ms: "milliseconds",
  us: "microseconds",
  ns: "nanoseconds",
  By: "bytes",
  KiBy: "kibibytes",
  MiBy: "mebibytes",
  GiBy: "gibibytes",
  TiBy: "tibibytes",
  KBy: "kilobytes",
  kBy: "kilobytes",
  MBy: "megabytes",
  GBy: "gigabytes",
  TBy: "terabytes",
  m: "meters",
  V: "volts",
  A: "amperes",
  J: "joules",
  W: "watts",
  g: "grams",
  Cel: "celsius",
  Hz: "hertz",
  "%": "percent",
};
const perUnits: Readonly<Record<string, string>> = {
  s: "second",
  m: "minute",
  min: "minute",
  h: "hour",
  d: "day",
  w: "week",
  mo: "month",
  y: "year",
};

const plain = (name: string) => name.replaceAll(/[^A-Za-z0-9_:]+/g, "_").replaceAll(/_{2,}/g, "_");

/** `kind`: `counter` is a sum that only grows. */
export function metricName(name: string, unit: string, kind: "counter" | "gauge" | "histogram" | "summary"): string {
  const words = plain(name)
    .replaceAll(/^_+|_+$/g, "")
    .split("_")
    .filter(Boolean);
  for (const suffix of unitWords(unit, kind === "gauge")) {
    // What the name says already is not said again.
    if (!words.includes(suffix)) words.push(...(suffix.startsWith("per ") ? suffix.split(" ") : [suffix]));
  }
  const counted = kind === "counter" ? [...words.filter((word) => word !== "total"), "total"] : words;
  const joined = counted.join("_");
  return /^\d/.test(joined) || joined === "" ? `_${joined}` : joined;
}

function unitWords(unit: string, isGauge: boolean): string[] {
  // `{request}` names what is counted and is no unit.
  const [main = "", per = ""] = unit
    .replaceAll(/\{[^}]*\}/g, "")
    .trim()
    .split("/", 2);
  const found: string[] = [];
  if (main === "1") {
    if (isGauge && per === "") found.push("ratio");
  } else if (main !== "")
    found.push(
      ...plain(units[main] ?? main)
        .split("_")
        .filter(Boolean),
    );
  if (per !== "") found.push(`per ${plain(perUnits[per] ?? per).replaceAll(/^_+|_+$/g, "")}`);
  return found;
}

/** Two attributes whose names become one are one label, its values joined by `;` in the order of the attributes' names. */
export function labels(attributes: Readonly<Record<string, string>>): Record<string, string> {
  const made = new Map<string, string>();
  for (const key of Object.keys(attributes).sort()) {
    let name = key.replaceAll(/[^A-Za-z0-9_]+/g, "_").replaceAll(/_{2,}/g, "_");
    if (/^\d/.test(name) || name === "") name = `key_${name}`;
    const before = made.get(name);
    made.set(name, before === undefined ? attributes[key]! : `${before};${attributes[key]!}`);
  }
  return Object.fromEntries(made);
}
