// SQL from outside, as an attacker would write it: other tenants' rows, files, addresses, settings, every function and table function.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Ingest } from "../ingest/ingest.ts";
import { makeSpans, newTenant, type TemporaryTelemetry, temporaryTelemetry } from "../telemetry-fixture.ts";
import { allowedFunction, functionNames, never } from "./sql-functions.ts";
import { sqlRowLimit, TenantSql } from "./tenant-sql.ts";

let telemetry: TemporaryTelemetry;
let sql: TenantSql;
const mine = newTenant();
const theirs = { ...newTenant(), project: "secret-project" };

beforeAll(async () => {
  telemetry = await temporaryTelemetry();
  sql = new TenantSql(telemetry.store.reader);
  const ingest = new Ingest(telemetry.store);
  for (const [tenant, name, count] of [
    [mine, "mine", 5],
    [theirs, "theirs", 7],
    [{ ...mine, environment: "staging" }, "staging", 3],
  ] as const) {
    const spans = makeSpans(Array.from({ length: count }, () => ({ name, attributes: { secret: `of ${name}` } })));
    await ingest.traces(Buffer.from(ProtobufTraceSerializer.serializeRequest(spans)!), "protobuf", tenant);
  }
});
afterAll(async () => {
  await telemetry[Symbol.asyncDispose]();
});

const rows = async (text: string) => (await sql.run(mine, text)).rows;
const refusal = (text: string) =>
  sql.run(mine, text).then(
    (answer) => ({ answered: answer.rows.slice(0, 3) }),
    (error: { code: string; message: string }) => error,
  );

describe("plain questions", () => {
  test("are answered from the environment's own rows", async () => {
    expect(
      await rows(`WITH slow AS (SELECT SpanName, Duration FROM otel_traces WHERE Duration > 0)
        SELECT SpanName, count() AS spans, countIf(Duration > 1e6) AS slow, quantileTDigest(0.95)(Duration) > 0 AS p95
        FROM slow GROUP BY ALL ORDER BY spans DESC -- of all`),
    ).toEqual([{ SpanName: "mine", spans: 5, slow: 5, p95: 1 }]);
    expect(await rows("SELECT count() AS n FROM otel_logs")).toEqual([{ n: 0 }]);
    expect(
      await rows(`SELECT t.SpanName AS name, row_number() OVER (ORDER BY t.SpanId) AS number, arrayMap(x -> x + 1, [1]) AS list,
        CASE WHEN t.Duration > 0 THEN 'yes' ELSE 'no' END AS long, t.Timestamp > now() - INTERVAL 1 DAY AS lately,
        upper(t.SpanAttributes['secret']) AS attribute
        FROM otel_traces AS t INNER JOIN otel_traces AS u USING (SpanId) ORDER BY number LIMIT 1;`),
    ).toEqual([{ name: "mine", number: 1, list: [2], long: "yes", lately: 1, attribute: "OF MINE" }]);
    expect(await rows("SELECT 'a\n\nDROP TABLE otel_traces' AS text")).toEqual([
      { text: "a\n\nDROP TABLE otel_traces" },
    ]);
  });

  test("are cut at the limit, and that is said", async () => {
    const answer = await sql.run(mine, "SELECT number FROM numbers(5000)");
    expect([answer.rows.length, answer.truncated]).toEqual([sqlRowLimit, true]);
  });

  test("that are wrong are told what ClickHouse says of them", async () => {
    expect(await refusal("SELEC 1")).toMatchObject({ code: "invalid_input", message: /Syntax error/, path: "sql" });
    expect(await refusal("SELECT nothing FROM otel_traces")).toMatchObject({
      code: "invalid_input",
      message: /nothing/,
    });
    expect(await refusal("")).toMatchObject({ code: "invalid_input" });
  });
});

describe("rows of others", () => {
  const ways = [
    "SELECT count() AS n FROM otel_traces",
    "SELECT count() AS n FROM otel_traces AS otel_logs",
    "SELECT count() AS n FROM otel_traces PREWHERE 1 WHERE 1 OR Organization != ''",
    "SELECT countIf(1) AS n FROM otel_traces WHERE Organization != '' OR 1",
    "SELECT sum(x) AS n FROM (SELECT 1 AS x FROM otel_traces LIMIT 1 BY SpanId)",
    "WITH otel_logs AS (SELECT * FROM otel_traces) SELECT count() AS n FROM otel_logs",
    "SELECT uniqExact(SpanId) AS n FROM (SELECT * FROM otel_traces UNION ALL SELECT * FROM otel_traces)",
    "SELECT count() AS n FROM otel_traces WHERE SpanId IN (SELECT SpanId FROM otel_traces)",
    "SELECT count() AS n FROM (SELECT SpanId FROM otel_traces EXCEPT SELECT '')",
  ];
  test.each(ways)("are not in %s", async (text) => {
    expect(await rows(text)).toEqual([{ n: 5 }]);
  });

  test("do not show in what is computed without reading", async () => {
    expect(
      await rows(`SELECT groupUniqArray(Organization) AS o, min(Project) AS p, max(SpanName) AS s, uniq(Environment) AS e,
        (SELECT count() FROM otel_traces WHERE SpanName = 'theirs') AS c, '${theirs.organizationId}' IN (SELECT Organization FROM otel_traces) AS has
        FROM otel_traces`),
    ).toEqual([{ o: [mine.organizationId], p: "shop", s: "mine", e: 1, c: 0, has: 0 }]);
  });
});

describe("ways out", () => {
  const ways = [
    "SELECT * FROM recordings",
    "SELECT * FROM tsdev_migrations",
    "SELECT * FROM system.tables",
    "SELECT * FROM default.otel_traces",
    "SELECT * FROM `default`.`otel_traces`",
    "SELECT * FROM information_schema.tables",
    "SELECT 1 WHERE ('x', 'y') IN tsdev_migrations",
    "SELECT 1 WHERE 'x' IN system.one",
    "SELECT * FROM merge('default', '.*')",
    "SELECT * FROM merge('otel_traces')",
    "SELECT * FROM file('/etc/passwd', LineAsString)",
    "SELECT file('/etc/passwd')",
    "SELECT * FROM url('http://127.0.0.1:1/', LineAsString)",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM view(SELECT * FROM otel_traces)",
    "SELECT * FROM (EXPLAIN SELECT 1)",
    "SELECT * FROM eval('SELECT * FROM otel_traces')",
    "SELECT * FROM executable('id', 'TSV', 'x String')",
    "SELECT * APPLY(file) FROM otel_traces",
    "SELECT * REPLACE(file('/etc/passwd') AS SpanName) FROM otel_traces",
    "SELECT dictGet('x', 'y', 1)",
    "SELECT joinGet('otel_traces', 'SpanName', 1)",
    "SELECT getSetting('additional_table_filters')",
    "SELECT hostName(), currentUser(), version()",
    "SELECT sleepEachRow(3) FROM numbers(100)",
    "SELECT throwIf(1)",
    "SELECT `file`('/etc/passwd')",
    "SELECT FILE('/etc/passwd')",
    "SELECT fileIf('/etc/passwd', 1)",
    "SELECT arrayMap(x -> file(x), ['/etc/passwd'])",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_execution_time = 0)",
    "SELECT count() FROM otel_traces SETTINGS additional_table_filters = {}",
    "SELECT 1; DROP TABLE otel_traces",
    "SELECT 1\n\nDROP TABLE otel_traces",
    "SELECT 1) UNION ALL SELECT * FROM (SELECT Organization FROM otel_traces",
    "SELECT 1 /* ) */ UNION ALL SELECT 1 FROM recordings --",
    "DROP TABLE otel_traces",
    "INSERT INTO otel_traces (SpanName) VALUES ('x')",
    "SET readonly = 0",
    "SHOW TABLES",
    "ALTER TABLE otel_traces DELETE WHERE 1",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "SYSTEM STOP MERGES",
    "KILL QUERY WHERE 1",
    "EXPLAIN SELECT * FROM otel_traces",
    "SELECT * FROM {table:Identifier}",
    "SELECT (0 AS `a\nQualifiedAsterisk `) IN system.one AS x",
    "SELECT 'x' AS `a\n QualifiedAsterisk\n` WHERE 'x' IN (system.one)",
    "SELECT 1 WHERE 'x' IN INFORMATION_SCHEMA.tables",
    "SELECT 1 WHERE 'x' GLOBAL IN system.one",
    "SELECT arrayReduce('aggThrow(1.0)', [1])",
    "SELECT arrayReduce('flameGraph', [[toUInt64(1)]])",
    "SELECT editDistance(repeat('a', 60000), repeat('b', 60000))",
  ];
  test.each(ways)("%s is refused", async (text) => {
    expect(await refusal(text)).toMatchObject({ code: "invalid_input" });
  });

  test("no file is written", async () => {
    const out = join(telemetry.directory, "out.txt");
    for (const text of [
      `SELECT 1 INTO OUTFILE '${out}'`,
      `SELECT 1 FROM otel_traces INTO OUTFILE '${out}' TRUNCATE FORMAT CSV`,
      `INSERT INTO FUNCTION file('${out}', CSV, 'x Int8') SELECT 1`,
    ]) {
      expect(await refusal(text), text).toMatchObject({ code: "invalid_input" });
    }
    expect(existsSync(out)).toBe(false);
  });

  test("what eats time or memory is ended, and the next question is answered", async () => {
    const greedy = "SELECT length(groupArray(repeat('x', 1000))) FROM numbers(100000000)";
    expect(await refusal(greedy)).toMatchObject({ code: "invalid_input", fix: expect.stringContaining("fewer rows") });
    expect(await refusal("SELECT count() FROM numbers(1e15)")).toHaveProperty("code");
    expect(await rows("SELECT 1 AS one")).toEqual([{ one: 1 }]);
  }, 30_000);

  test("an organization has two statements at once, and others are not held up by a third", async () => {
    const slow = () => sql.run(mine, "SELECT sum(cityHash64(number)) FROM numbers(40000000)");
    const outcomes = await Promise.allSettled([slow(), slow(), slow()]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect((outcomes[2] as PromiseRejectedResult).reason).toMatchObject({ code: "rate_limited" });
    expect(await rows("SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  test("every table function but those that only count is refused", async () => {
    const all = await telemetry.store.reader.query<{ name: string }>("SELECT name FROM system.table_functions");
    const harmless = ["numbers", "zeros", "generateSeries", "generate_series", "values"];
    expect(all.length).toBeGreaterThan(50);
    for (const { name } of all) {
      if (harmless.includes(name)) continue;
      for (const call of [`${name}()`, `${name}('x')`, `${name}('/etc/passwd', 'LineAsString')`]) {
        expect(await refusal(`SELECT * FROM ${call}`), call).toMatchObject({ code: "invalid_input" });
      }
    }
  });

  test("the columns that tell of the storage are refused, by every name", async () => {
    // As system.columns leaves them out, they are named here: those of MergeTree in ClickHouse's documentation.
    const parts = ["_part", "_part_index", "_part_uuid", "_part_offset", "_partition_id", "_partition_value"];
    for (const name of [
      ...parts,
      "_sample_factor",
      "_block_number",
      "_disk_name",
      "_database",
      "_table",
      "_row_exists",
    ]) {
      for (const text of [name, `\`${name}\``, `otel_traces.${name}`, `t.${name} AS x`]) {
        expect(await refusal(`SELECT ${text} FROM otel_traces AS t`), text).toMatchObject({
          code: "invalid_input",
          message: expect.stringContaining("of the storage"),
        });
      }
    }
  });

  test("nothing is allowed and forbidden at once", () => {
    for (const name of never) expect(allowedFunction(name, new Map()), name).toBe(false);
  });

  test("no function that tells of the server, reads, waits or sends is allowed", async () => {
    const known = await functionNames(telemetry.store.reader);
    const wrong =
      /^(file|dict(get|has|is)|joinget|region|hostname|fqdn|current(db|data|user|pro|role|query(id|_id)|schema)|getset|getserver|getmacro|getmerge|getclient|getos|show|sleep|throw|addressto|demangle|tid|logtrace|version|uptime|tcpport|serveruuid|filesystem|catboost|eval|aiclass|aigen|aiembed|aiext|aitrans|zookeeper|transaction|query(id|_id)|initialquery|connection|authenticated|enabled|default(roles|profiles)|hascolumn|haslthread|buildid|structureto|fuzz|generateserial|mergetree|ismergetree|timeseries(id|store|copy|groupto|tags)|__|encrypt|decrypt|aes_|hmac)/;
    const open = [...known.values()].filter(
      ({ name }) => wrong.test(name.toLowerCase()) && allowedFunction(name, known),
    );
    expect(open.map(({ name }) => name)).toEqual([]);
  });

  test("every function that is allowed runs without reaching a file, whatever text it is given", async () => {
    const known = await functionNames(telemetry.store.reader);
    const allowed = [...known.values()].filter(({ name }) => allowedFunction(name, known));
    expect(allowed.length).toBeGreaterThan(800);
    for (const { name } of allowed) {
      const answer = await refusal(`SELECT toString(\`${name}\`('/etc/passwd')) AS x`);
      expect(JSON.stringify(answer), name).not.toContain("root:");
    }
  }, 240_000);
});
