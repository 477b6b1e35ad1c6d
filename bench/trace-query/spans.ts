// Spans with realistic shapes, made inside ClickHouse: a seed table of a hundred thousand, repeated with other ids and times.

/** Spans of the seed; each repeat of it is a stretch of time. */
export const seedSpans = 100_000;
/** How much time a seed covers, in seconds: 10 million spans are a day. */
export const seedSeconds = 864;

/** The columns that senders fill, which every table of spans has. */
export const sentColumns = [
  "Timestamp",
  "TraceId",
  "SpanId",
  "ParentSpanId",
  "TraceState",
  "SpanName",
  "SpanKind",
  "ServiceName",
  "ResourceAttributes",
  "ScopeName",
  "ScopeVersion",
  "SpanAttributes",
  "Duration",
  "StatusCode",
  "StatusMessage",
  "Events.Timestamp",
  "Events.Name",
  "Events.Attributes",
] as const;

const map = "Map(LowCardinality(String), String)";

/**
 * Traces of ten spans: a request (0), four calls inside (1-4), five statements (5-9); twelve services of three instances, 40
 * routes, of which few have most requests, durations with a long tail, 2 % failures with an exception. About 11 attributes a
 * span and 9 of the resource.
 */
export const seedTable = [
  "CREATE TABLE seed ENGINE = MergeTree ORDER BY tuple() AS",
  `WITH
    intDiv(number, 10) AS t, toUInt8(number % 10) AS pos,
    cityHash64(t, 1) AS th, cityHash64(number, 2) AS h,
    toUInt32(floor(40 * pow((th % 100000) / 100000, 2.5))) AS route,
    concat('/', ['orders', 'users', 'carts', 'items', 'search', 'payments', 'stock', 'login'][1 + route % 8],
      if(route % 2 = 0, '/:id', ''), if(route >= 16, '/' || ['details', 'history', 'export'][1 + route % 3], '')) AS path,
    th % 12 AS entry, if(pos = 0, entry, (entry + if(pos < 5, pos % 2, intDiv(pos, 3))) % 12) AS service,
    ['gateway', 'shop', 'orders', 'users', 'payments', 'stock', 'search', 'mail', 'reports', 'auth', 'prices', 'images'][1 + service] AS name,
    ['orders', 'users', 'carts', 'items', 'payments', 'stock', 'sessions', 'prices'][1 + (route + pos) % 8] AS tab,
    h % 50 = 0 AS failed,
    toUInt64(exp(multiIf(pos = 0, 17.2, pos < 5, 15.8, 14.2) + 0.8 * (((h % 1000) + (intDiv(h, 1000) % 1000) + (intDiv(h, 1000000) % 1000)) / 500 - 3))) AS took
  SELECT
    toDateTime64('2026-11-01 00:00:00', 9, 'UTC') + toIntervalNanosecond(intDiv(t * ${seedSeconds} * 1000000000, ${seedSpans / 10}) + pos * 700000 + h % 600000) AS Timestamp,
    lower(hex(sipHash128(t))) AS TraceId,
    leftPad(lower(hex(sipHash64(number))), 16, '0') AS SpanId,
    if(pos = 0, '', leftPad(lower(hex(sipHash64(number - pos + if(pos < 5, 0, pos - 5)))), 16, '0')) AS ParentSpanId,
    '' AS TraceState,
    toLowCardinality(multiIf(pos = 0, ['GET', 'GET', 'GET', 'POST', 'PUT'][1 + route % 5] || ' ' || path, pos < 3, 'call ' || tab,
      pos < 5, 'POST', ['SELECT', 'SELECT', 'SELECT', 'INSERT', 'UPDATE'][pos - 4] || ' shop.' || tab)) AS SpanName,
    toLowCardinality(multiIf(pos = 0, 'Server', pos < 3, 'Internal', 'Client')) AS SpanKind,
    toLowCardinality(name) AS ServiceName,
    CAST(map('service.name', name, 'service.version', '1.4.' || toString(service), 'service.instance.id', name || '-' || toString(th % 3),
      'deployment.environment.name', 'production', 'host.name', 'node-' || toString(th % 5), 'telemetry.sdk.language', 'nodejs',
      'telemetry.sdk.name', 'opentelemetry', 'telemetry.sdk.version', '2.2.0', 'process.pid', toString(1000 + service)), '${map}') AS ResourceAttributes,
    multiIf(pos = 0, '@opentelemetry/instrumentation-http', pos < 5, 'shop', '@opentelemetry/instrumentation-pg') AS ScopeName,
    '0.207.0' AS ScopeVersion,
    CAST(multiIf(
      pos = 0, map('http.request.method', ['GET', 'GET', 'GET', 'POST', 'PUT'][1 + route % 5], 'http.route', path, 'url.path', replaceOne(path, ':id', toString(th % 1000000)),
        'url.scheme', 'https', 'http.response.status_code', if(failed, '500', ['200', '200', '200', '201', '404'][1 + h % 5]), 'server.address', 'shop.example.com',
        'user_agent.original', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/' || toString(120 + th % 20), 'client.address', concat('10.', toString(th % 250), '.', toString(intDiv(th, 250) % 250), '.7'),
        'network.protocol.version', '1.1', 'user.id', 'user-' || toString(th % 100000), 'tsdev.deployment', 'dep_' || toString(t % 4)),
      pos < 5, map('code.function.name', 'load_' || tab, 'code.file.path', '/app/src/' || tab || '.ts', 'code.line.number', toString(10 + route), 'app.items', toString(h % 40),
        'app.cache.hit', if(h % 3 = 0, 'true', 'false'), 'server.address', tab || '.internal', 'server.port', '8080', 'http.request.method', 'POST', 'url.full', 'http://' || tab || '.internal/rpc', 'network.transport', 'tcp'),
      map('db.system.name', 'postgresql', 'db.namespace', 'shop', 'db.operation.name', ['SELECT', 'SELECT', 'SELECT', 'INSERT', 'UPDATE'][pos - 4], 'db.collection.name', tab,
        'db.query.text', 'SELECT id, name, price FROM ' || tab || ' WHERE id = $1 AND tenant = $2 ORDER BY created_at DESC LIMIT ' || toString(10 * (1 + h % 3)),
        'server.address', 'db.internal', 'server.port', '5432', 'code.file.path', '/app/src/' || tab || '.ts', 'code.line.number', toString(20 + pos), 'db.response.returned_rows', toString(h % 30))),
      '${map}') AS SpanAttributes,
    took AS Duration,
    toLowCardinality(if(failed, 'Error', 'Unset')) AS StatusCode,
    if(failed, 'something failed', '') AS StatusMessage,
    if(failed, [toDateTime64('2026-11-01 00:00:00', 9, 'UTC')], []) AS \`Events.Timestamp\`,
    CAST(if(failed, ['exception'], []), 'Array(LowCardinality(String))') AS \`Events.Name\`,
    CAST(if(failed, [map('exception.type', 'TypeError', 'exception.message', 'cannot read ' || tab)], []), 'Array(${map})') AS \`Events.Attributes\`,
    toUInt8(t % 10) AS share
  FROM numbers(${seedSpans})`,
].join(" ");

/** What a repeat of the seed inserts: the same shapes, another stretch of time, other ids and durations. */
export function repeatOf(round: number, extra: Record<string, string>): string {
  const replaced: Record<string, string> = {
    Timestamp: `Timestamp + toIntervalSecond(${round * seedSeconds})`,
    TraceId: `lower(hex(sipHash128(TraceId, ${round})))`,
    SpanId: `leftPad(lower(hex(sipHash64(SpanId, ${round}))), 16, '0')`,
    ParentSpanId: `if(ParentSpanId = '', '', leftPad(lower(hex(sipHash64(ParentSpanId, ${round}))), 16, '0'))`,
    Duration: `Duration + sipHash64(SpanId, ${round}) % 100000`,
  };
  const values = sentColumns.map((name) => `${replaced[name] ?? `\`${name}\``} AS \`${name}\``);
  // Values of another name than the columns', or the ids of a parent would be made of ids that are replaced already.
  const own = Object.entries(extra).map(([name, value]) => `${value} AS ${name}`);
  return `SELECT ${[...values, ...own].join(", ")} FROM seed SETTINGS prefer_column_name_to_alias = 1`;
}

/** Whose spans they are: eight of ten traces belong to the first organization. */
export const owners = {
  Organization: "multiIf(share < 8, 'org_1', share = 8, 'org_2', 'org_3')",
  Project: "'shop'",
  Environment: "'production'",
  Deployment: "'dep_' || toString(share % 4)",
  RetentionDays: "400",
  AdjustedCount: "1",
};
