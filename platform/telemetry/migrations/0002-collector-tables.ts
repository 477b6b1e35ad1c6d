// Telemetry migration 2: the columns of retention, adjusted counts, scopes and events, and the tables of metrics.

const point = `ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ScopeName LowCardinality(String) CODEC(ZSTD(1)),
    ScopeVersion LowCardinality(String) CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription LowCardinality(String) CODEC(ZSTD(1)),
    MetricUnit LowCardinality(String) CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),`;
const exemplars = `Exemplars Nested (
      FilteredAttributes Map(LowCardinality(String), String),
      TimeUnix DateTime64(9),
      Value Float64,
      SpanId String,
      TraceId String
    ) CODEC(ZSTD(1)),`;
const owner = `Organization LowCardinality(String) CODEC(ZSTD(1)),
    Project LowCardinality(String) CODEC(ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Deployment LowCardinality(String) CODEC(ZSTD(1)),
    RetentionDays UInt16`;

const metrics = (kind: string, own: string) => `CREATE TABLE IF NOT EXISTS otel_metrics_${kind} (
    ${point}
    ${own}
    ${owner}
  ) ENGINE = MergeTree
  PARTITION BY (toDate(TimeUnix), RetentionDays)
  ORDER BY (Organization, Project, Environment, ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix)
  TTL toDateTime(TimeUnix) + toIntervalDay(RetentionDays)
  SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 1000`;

const distribution = `Flags UInt32 CODEC(ZSTD(1)), Min Float64 CODEC(ZSTD(1)), Max Float64 CODEC(ZSTD(1)),
    AggregationTemporality Int32 CODEC(ZSTD(1)),`;

/** Statements run one by one, in order; each is safe to repeat. */
export const statements: readonly string[] = [
  `ALTER TABLE otel_traces
    ADD COLUMN IF NOT EXISTS RetentionDays UInt16 DEFAULT 14 AFTER Deployment,
    ADD COLUMN IF NOT EXISTS AdjustedCount Float64 DEFAULT 1 AFTER RetentionDays`,
  `ALTER TABLE otel_logs
    ADD COLUMN IF NOT EXISTS ResourceSchemaUrl LowCardinality(String) AFTER Body,
    ADD COLUMN IF NOT EXISTS ScopeSchemaUrl LowCardinality(String) AFTER ResourceAttributes,
    ADD COLUMN IF NOT EXISTS ScopeVersion LowCardinality(String) AFTER ScopeName,
    ADD COLUMN IF NOT EXISTS ScopeAttributes Map(LowCardinality(String), String) AFTER ScopeVersion,
    ADD COLUMN IF NOT EXISTS EventName String AFTER LogAttributes,
    ADD COLUMN IF NOT EXISTS RetentionDays UInt16 DEFAULT 14 AFTER Deployment`,
  metrics("gauge", `Value Float64 CODEC(ZSTD(1)), Flags UInt32 CODEC(ZSTD(1)), ${exemplars}`),
  metrics(
    "sum",
    `Value Float64 CODEC(ZSTD(1)), Flags UInt32 CODEC(ZSTD(1)), ${exemplars}
    AggregationTemporality Int32 CODEC(ZSTD(1)), IsMonotonic Boolean CODEC(ZSTD(1)),`,
  ),
  metrics(
    "histogram",
    `Count UInt64 CODEC(ZSTD(1)), Sum Float64 CODEC(ZSTD(1)),
    BucketCounts Array(UInt64) CODEC(ZSTD(1)), ExplicitBounds Array(Float64) CODEC(ZSTD(1)),
    ${exemplars} ${distribution}`,
  ),
  metrics(
    "exponential_histogram",
    `Count UInt64 CODEC(ZSTD(1)), Sum Float64 CODEC(ZSTD(1)),
    Scale Int32 CODEC(ZSTD(1)), ZeroCount UInt64 CODEC(ZSTD(1)),
    PositiveOffset Int32 CODEC(ZSTD(1)), PositiveBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    NegativeOffset Int32 CODEC(ZSTD(1)), NegativeBucketCounts Array(UInt64) CODEC(ZSTD(1)),
    ${exemplars} ${distribution}`,
  ),
  metrics(
    "summary",
    `Count UInt64 CODEC(ZSTD(1)), Sum Float64 CODEC(ZSTD(1)),
    ValueAtQuantiles Nested(Quantile Float64, Value Float64) CODEC(ZSTD(1)), Flags UInt32 CODEC(ZSTD(1)),`,
  ),
];
