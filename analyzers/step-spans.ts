// Step spans: SQL over the spans of workflow steps, their attempts and the outgoing calls made under them.

/** Attempts with the names of their node; one row each. `where` bounds the spans. */
export function attempts(where: string): string {
  const attribute = (name: string) => `SpanAttributes['tsdev.${name}']`;
  return `SELECT a.TraceId AS trace, a.SpanId AS attempt, a.Timestamp AS at, a.Duration AS duration,
      a.StatusCode = 'Error' AS failed, a.errorType AS errorType, a.service AS service,
      if(s.workflow != '', s.workflow, o.workflow) AS workflow, s.node AS node, s.siteFile AS siteFile, s.siteLine AS siteLine,
      if(s.procedure != '', s.procedure, p.procedure) AS procedure,
      multiIf(a.digest != '', a.digest, p.digest != '', p.digest, s.digest) AS digest,
      toUInt32OrZero(multiIf(a.maxAttempts != '', a.maxAttempts, s.maxAttempts != '', s.maxAttempts, '1')) AS maxAttempts,
      multiIf(p.idempotent != '', p.idempotent, a.idempotent != '', a.idempotent, s.idempotent) AS idempotent
    FROM (SELECT TraceId, SpanId, ParentSpanId, Timestamp, Duration, StatusCode, ServiceName AS service,
        SpanAttributes['error.type'] AS errorType, ${attribute("input.digest")} AS digest,
        ${attribute("attempt.max")} AS maxAttempts, ${attribute("procedure.idempotent")} AS idempotent
      FROM otel_traces WHERE ${where} AND startsWith(SpanName, 'attempt ')) AS a
    INNER JOIN (SELECT TraceId, SpanId, ${attribute("node.id")} AS node, ${attribute("workflow.name")} AS workflow,
        ${attribute("node.procedure")} AS procedure, ${attribute("input.digest")} AS digest,
        ${attribute("attempt.max")} AS maxAttempts, ${attribute("procedure.idempotent")} AS idempotent,
        SpanAttributes['code.file.path'] AS siteFile, SpanAttributes['code.line.number'] AS siteLine
      FROM otel_traces WHERE ${where} AND startsWith(SpanName, 'step ')) AS s
      ON s.TraceId = a.TraceId AND s.SpanId = a.ParentSpanId
    LEFT JOIN (SELECT TraceId, ParentSpanId, any(substring(SpanName, length('procedure ') + 1)) AS procedure,
        any(${attribute("input.digest")}) AS digest, any(${attribute("procedure.idempotent")}) AS idempotent
      FROM otel_traces WHERE ${where} AND startsWith(SpanName, 'procedure ') GROUP BY TraceId, ParentSpanId) AS p
      ON p.TraceId = a.TraceId AND p.ParentSpanId = a.SpanId
    LEFT JOIN (SELECT TraceId, any(${attribute("workflow.name")}) AS workflow
      FROM otel_traces WHERE ${where} AND startsWith(SpanName, 'workflow ') GROUP BY TraceId) AS o
      ON o.TraceId = a.TraceId`;
}

/** Every span with the span of name `prefix…` above it, to eight levels: rows `trace, span, owner`. */
export function ownedSpans(where: string, prefix: "attempt " | "step "): string {
  return `owned AS (
      SELECT TraceId AS trace, SpanId AS span, SpanId AS owner, toUInt8(0) AS depth
      FROM otel_traces WHERE ${where} AND startsWith(SpanName, '${prefix}')
      UNION ALL
      SELECT c.TraceId, c.SpanId, o.owner, toUInt8(o.depth + 1)
      FROM (SELECT TraceId, SpanId, ParentSpanId FROM otel_traces WHERE ${where}) AS c
      INNER JOIN owned AS o ON c.TraceId = o.trace AND c.ParentSpanId = o.span WHERE o.depth < 8
    )`;
}

/** Outgoing calls under the owners of `ownedSpans`, with ids in paths replaced by `*`. */
export function ownedCalls(where: string): string {
  const path = `path(SpanAttributes['url.full'])`;
  return `SELECT o.trace AS trace, o.owner AS owner, c.method AS method, c.host AS host, c.path AS path,
      c.queryText AS queryText, c.system AS system, c.keyed AS keyed, c.failed AS failed, c.cause AS cause, c.ended AS ended
    FROM owned AS o
    INNER JOIN (SELECT TraceId, SpanId, SpanAttributes['http.request.method'] AS method,
        domain(SpanAttributes['url.full']) AS host,
        replaceRegexpAll(${path}, '/([0-9]+|[0-9a-fA-F-]{16,}|[^/]*[0-9][^/]*)(/|$)', '/*\\\\2') AS path,
        SpanAttributes['db.query.text'] AS queryText,
        if(SpanKind = 'Producer', 'messaging', SpanAttributes['db.system.name']) AS system,
        SpanAttributes['tsdev.http.idempotency_key'] != '' OR SpanAttributes['http.request.header.idempotency-key'] != ''
          AS keyed,
        StatusCode = 'Error' OR toUInt16OrZero(SpanAttributes['http.response.status_code']) >= 400 AS failed,
        if(toUInt16OrZero(SpanAttributes['http.response.status_code']) >= 400,
          SpanAttributes['http.response.status_code'], SpanAttributes['error.type']) AS cause,
        toUnixTimestamp64Nano(Timestamp) + toInt64(Duration) AS ended
      FROM otel_traces WHERE ${where} AND SpanKind IN ('Client', 'Producer')
        AND (SpanAttributes['db.query.text'] != '' OR SpanAttributes['http.request.method'] != ''
          OR SpanAttributes['db.system.name'] != '' OR SpanKind = 'Producer')
        AND NOT match(SpanAttributes['db.query.text'], '(?i)^\\\\s*(begin|commit|rollback|savepoint|release|start|set|show)\\\\b')
        AND NOT match(SpanName, '^(pg-pool|pg)\\\\.connect')) AS c
      ON c.TraceId = o.trace AND c.SpanId = o.span`;
}
