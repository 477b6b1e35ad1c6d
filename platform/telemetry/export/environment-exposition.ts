// An environment's own metrics for Prometheus: the last value of every series that was heard of within five minutes.
import { Registry } from "prom-client";
import type { Tenant } from "../ingest/tables.ts";
import { rowConditions } from "../query/span-filter.ts";
import type { TelemetryReader } from "../reader.ts";
import { exponentialBuckets } from "./exponential-buckets.ts";
import { type Family, type FamilyType, type FamilyValue, histogramValues, registerFamily } from "./metric-family.ts";
import { labels, metricName } from "./prometheus-names.ts";

/** As Prometheus itself forgets a series that it no longer hears of (its lookback delta). */
const staleMs = 5 * 60_000;
/** Of each kind of metric; a scrape of more takes too long. */
const mostSeries = 10_000;

interface Point {
  service: string;
  scope: string;
  scopeVersion: string;
  name: string;
  description: string;
  unit: string;
  attributes: Record<string, string>;
  resource: Record<string, string>;
}
interface NumberPoint extends Point {
  value: number;
  growing: number;
}
interface Counted extends Point {
  count: number | string;
  sum: number;
}
interface HistogramPoint extends Counted {
  counts: (number | string)[];
  bounds: number[];
}
interface ExponentialPoint extends Counted {
  scale: number;
  zeros: number | string;
  positiveOffset: number;
  positive: (number | string)[];
  negativeOffset: number;
  negative: (number | string)[];
}
interface SummaryPoint extends Counted {
  quantiles: number[];
  values: number[];
}

const pointColumns = `toString(ServiceName) AS service, ScopeName AS scope, toString(ScopeVersion) AS scopeVersion,
  toString(MetricName) AS name, toString(MetricDescription) AS description, toString(MetricUnit) AS unit,
  Attributes AS attributes, ResourceAttributes AS resource`;
const counted = "toFloat64(Count) AS count, Sum AS sum";
const cumulative = "AND AggregationTemporality = 2";

/** The text of Prometheus's exposition format 0.0.4. */
export async function environmentExposition(reader: TelemetryReader, tenant: Tenant): Promise<string> {
  const { where, params } = rowConditions("otel_metrics", { ...tenant, since: Date.now() - staleMs });
  const latest = <Row>(table: string, columns: string, only = "") =>
    reader.query<Row>(
      `SELECT ${pointColumns}, ${columns} FROM (
        SELECT *, Flags AS flags FROM otel_metrics_${table}
          WHERE ${where} ${only}
          ORDER BY TimeUnix DESC
          LIMIT 1 BY cityHash64(ServiceName, ScopeName, ScopeVersion, MetricName, MetricUnit, toString(Attributes), toString(ResourceAttributes)))
        WHERE bitAnd(flags, 1) = 0 ORDER BY TimeUnix DESC LIMIT ${mostSeries}`,
      params,
    );
  const gauges = await latest<NumberPoint>("gauge", "Value AS value, 0 AS growing");
  const sums = await latest<NumberPoint>("sum", "Value AS value, toUInt8(IsMonotonic) AS growing", cumulative);
  const histograms = await latest<HistogramPoint>(
    "histogram",
    `${counted}, arrayMap(n -> toFloat64(n), BucketCounts) AS counts, ExplicitBounds AS bounds`,
    cumulative,
  );
  const exponentials = await latest<ExponentialPoint>(
    "exponential_histogram",
    `${counted}, Scale AS scale, toFloat64(ZeroCount) AS zeros, PositiveOffset AS positiveOffset,
      arrayMap(n -> toFloat64(n), PositiveBucketCounts) AS positive, NegativeOffset AS negativeOffset,
      arrayMap(n -> toFloat64(n), NegativeBucketCounts) AS negative`,
    cumulative,
  );
  const summaries = await latest<SummaryPoint>(
    "summary",
    `${counted}, ValueAtQuantiles.Quantile AS quantiles, ValueAtQuantiles.Value AS values`,
  );

  const families = new Families();
  for (const point of [...gauges, ...sums]) {
    families.add(point, point.growing ? "counter" : "gauge", (_name, own) => [{ labels: own, value: point.value }]);
  }
  for (const point of histograms) {
    families.add(point, "histogram", (name, own) => histogramValues(name, own, numbersOf(point)));
  }
  for (const point of exponentials) {
    families.add(point, "histogram", (name, own) =>
      histogramValues(name, own, { ...exponentialBuckets(point), count: Number(point.count), sum: point.sum }),
    );
  }
  for (const point of summaries) {
    families.add(point, "summary", (name, own) => [
      ...point.quantiles.map((quantile, at) => ({ labels: { ...own, quantile }, value: point.values[at] ?? 0 })),
      { metricName: `${name}_sum`, labels: own, value: point.sum },
      { metricName: `${name}_count`, labels: own, value: Number(point.count) },
    ]);
  }
  return families.text();
}

function numbersOf({ bounds, counts, count, sum }: HistogramPoint) {
  return { bounds, counts: counts.map(Number), count: Number(count), sum };
}

/** Invariant: a name has one type and no two series with the same labels, else Prometheus refuses the whole scrape. */
class Families {
  readonly #families = new Map<string, Family>();
  readonly #seen = new Set<string>();

  /** What comes first stays: a name of another type and a series that is there are left out. */
  add(point: Point, type: FamilyType, values: (name: string, own: Record<string, string>) => FamilyValue[]): void {
    const name = metricName(point.name, point.unit, type);
    const help = point.description || point.name;
    const identity = identityOf(point);
    const own = {
      ...labels(point.attributes),
      ...(point.scope === "" ? {} : { otel_scope_name: point.scope }),
      ...(point.scopeVersion === "" ? {} : { otel_scope_version: point.scopeVersion }),
      ...identity,
    };
    this.#put({ name, help, type }, own, values);
    const about = labels(
      Object.fromEntries(
        Object.entries(point.resource).filter(
          ([key]) => !["service.name", "service.namespace", "service.instance.id"].includes(key),
        ),
      ),
    );
    const target = { name: "target_info", help: "What the service runs on.", type: "gauge" } as const;
    const key = `target ${JSON.stringify(identity)}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#put(target, { ...about, ...identity }, (_name, all) => [{ labels: all, value: 1 }]);
  }

  text(): Promise<string> {
    const registry = new Registry();
    for (const { values, ...family } of this.#families.values()) registerFamily(registry, family, () => values);
    return registry.metrics();
  }

  #put(
    family: Omit<Family, "values">,
    own: Record<string, string>,
    values: (name: string, own: Record<string, string>) => FamilyValue[],
  ): void {
    const { name } = family;
    let known = this.#families.get(name);
    if (!known) {
      known = { ...family, values: [] };
      this.#families.set(name, known);
    }
    const key = `${name} ${JSON.stringify(Object.entries(own).sort())}`;
    if (known.type !== family.type || this.#seen.has(key)) return;
    this.#seen.add(key);
    // One by one: a family of all series is too long for the arguments of one call.
    for (const value of values(name, own)) known.values.push(value);
  }
}

/** The specification's `job` and `instance`; what was measured from outside has its deployment in place of an instance. */
function identityOf({ service, resource }: Point): Record<string, string> {
  const namespace = resource["service.namespace"];
  const instance = resource["service.instance.id"] || resource["tsdev.deployment"] || "";
  return {
    job: namespace ? `${namespace}/${service}` : service,
    ...(instance === "" ? {} : { instance }),
  };
}
