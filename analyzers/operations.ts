// Operations: SQL that names the endpoint or workflow which a span worked for.

/** The route of a server span, as semantic conventions name it, else the span's own name. */
export const serverOperation = `multiIf(
    SpanAttributes['http.route'] != '', concat(SpanAttributes['http.request.method'], ' ', SpanAttributes['http.route']),
    SpanAttributes['url.template'] != '', concat(SpanAttributes['http.request.method'], ' ', SpanAttributes['url.template']),
    SpanName)`;

export const isWorkflowSpan = `(startsWith(SpanName, 'workflow ') AND SpanAttributes['tsdev.workflow.name'] != '')`;

/** Statements that frame others; counting them as queries would blame every transaction. */
export const isQuery = `(StmtHash != 0 AND NOT match(SpanAttributes['db.query.text'],
    '(?i)^\\\\s*(begin|commit|rollback|abort|savepoint|release|start|set|reset|show|listen|unlisten|notify|deallocate|discard|pragma)\\\\b'))`;

/** One row a trace and service: the endpoint and the workflow that its spans belong to. `where` bounds the spans. */
export function traceOperations(where: string): string {
  return `SELECT TraceId AS trace, ServiceName AS service,
      argMinIf(${serverOperation}, Timestamp, SpanKind = 'Server') AS endpoint,
      argMinIf(SpanAttributes['tsdev.workflow.name'], Timestamp, ${isWorkflowSpan}) AS workflow,
      anyIf(SpanName, ParentSpanId = '') AS rootName
    FROM otel_traces WHERE ${where} GROUP BY trace, service`;
}

/** How often each endpoint and workflow ran, and how long it took, in milliseconds. */
export function operationTimes(where: string): string {
  return `SELECT ServiceName AS service,
      if(SpanKind = 'Server', ${serverOperation}, SpanAttributes['tsdev.workflow.name']) AS operation,
      uniqExact(TraceId) AS requests,
      quantile(0.5)(Duration) / 1e6 AS p50Ms, quantile(0.95)(Duration) / 1e6 AS p95Ms
    FROM otel_traces WHERE ${where} AND (SpanKind = 'Server' OR ${isWorkflowSpan})
    GROUP BY service, operation`;
}

export interface OperationTimes {
  service: string;
  operation: string;
  requests: number;
  p50Ms: number;
  p95Ms: number;
}
