// Telemetry migration 1: the OpenTelemetry Collector exporter's traces and logs tables with tenant and analysis columns, and recordings.

/** Statements run one by one, in order; each is safe to repeat. */
export const statements: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS otel_traces (
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
      Timestamp DateTime64(9),
      Name LowCardinality(String),
      Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
      TraceId String,
      SpanId String,
      TraceState String,
      Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Organization LowCardinality(String) CODEC(ZSTD(1)),
    Project LowCardinality(String) CODEC(ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Deployment LowCardinality(String) CODEC(ZSTD(1)),
    StmtHash UInt64 MATERIALIZED if(SpanAttributes['db.query.text'] = '', 0, cityHash64(normalizeQuery(SpanAttributes['db.query.text']))),
    N1Key UInt64 MATERIALIZED if(StmtHash = 0, 0, cityHash64(TraceId, ParentSpanId, StmtHash)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
  ) ENGINE = MergeTree
  PARTITION BY toDate(Timestamp)
  ORDER BY (Organization, Project, Environment, ServiceName, SpanName, toDateTime(Timestamp))
  TTL toDateTime(Timestamp) + INTERVAL 14 DAY
  SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1`,

  `CREATE TABLE IF NOT EXISTS otel_logs (
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    TraceFlags UInt8,
    SeverityText LowCardinality(String) CODEC(ZSTD(1)),
    SeverityNumber UInt8,
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    Body String CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    LogAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Organization LowCardinality(String) CODEC(ZSTD(1)),
    Project LowCardinality(String) CODEC(ZSTD(1)),
    Environment LowCardinality(String) CODEC(ZSTD(1)),
    Deployment LowCardinality(String) CODEC(ZSTD(1)),
    INDEX idx_body Body TYPE text(tokenizer = ngrams(3)) GRANULARITY 1
  ) ENGINE = MergeTree
  PARTITION BY toDate(Timestamp)
  ORDER BY (Organization, Project, Environment, Timestamp)
  TTL toDateTime(Timestamp) + INTERVAL 14 DAY
  SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1`,

  `CREATE TABLE IF NOT EXISTS recordings (
    Timestamp DateTime64(3) CODEC(Delta, ZSTD(1)),
    Organization LowCardinality(String),
    Project LowCardinality(String),
    Environment LowCardinality(String),
    Deployment LowCardinality(String),
    Kind LowCardinality(String),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    Name LowCardinality(String),
    Payload String CODEC(ZSTD(3)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1
  ) ENGINE = ReplacingMergeTree
  PARTITION BY toDate(Timestamp)
  ORDER BY (Organization, Project, Environment, Kind, Name, Timestamp, TraceId, SpanId)
  TTL toDateTime(Timestamp) + INTERVAL 7 DAY
  SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1`,
];
