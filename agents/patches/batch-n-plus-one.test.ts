// batch-n-plus-one on fixtures: what it writes, when it declines, and that the result is what the loop gave on Postgres.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Finding } from "../../analyzers/finding.ts";
import { type FixtureDatabase, openFixtureDatabase } from "./fixture-database.ts";
import { patchFor } from "./index.ts";
import { postgresSqlTypes, sessionSqlTypes } from "./postgres-sql-types.ts";

const folder = join(import.meta.dirname, "__fixtures__");
const inputs = readdirSync(folder).filter((name) => name.startsWith("batch-") && name.endsWith(".input.ts"));
const text = (name: string) => readFileSync(join(folder, name), "utf8");

let database: FixtureDatabase;
beforeAll(async () => {
  database = await openFixtureDatabase();
});
afterAll(() => database[Symbol.asyncDispose]());

/** A finding about the last `query` call with a parameter in the file. */
function findingFor(path: string, source: string): Finding {
  const matches = [...source.matchAll(/\.query(?:<[^(]*>)?\(\s*(["'`])((?:(?!\1)[\s\S])*)\1\s*,/g)];
  const match = matches.at(-1);
  const line = source.slice(0, match?.index ?? 0).split("\n").length;
  return {
    detector: "n-plus-one",
    fingerprint: "0123456789abcdef",
    service: "shop",
    title: "N+1",
    file: path,
    line,
    occurrences: 10,
    of: 10,
    wastedMs: 100,
    p50Ms: 20,
    p95Ms: 30,
    traceIds: [],
    evidence: {
      kind: "n-plus-one",
      statement: (match?.[2] ?? "").replaceAll("\\n", "\n").replace(/\s+/g, " "),
      databaseSystem: "postgresql",
      repeats: { median: 50, max: 50 },
      frames: [{ file: path, line, function: "run" }],
      operation: "GET /orders",
    },
  };
}

async function patch(path: string, source: string) {
  const read = async (wanted: string) => (wanted === path ? source : null);
  return patchFor(findingFor(path, source), read, { sqlTypes: sessionSqlTypes(database.client) });
}

/** Runs a fixture and counts its queries. */
async function run(name: string): Promise<{ result: unknown; queries: number }> {
  const module = (await import(join(folder, name))) as { run(pool: Pool): Promise<unknown> };
  let queries = 0;
  const counting = new Proxy(database.pool, {
    get(pool, key) {
      if (key !== "query") return Reflect.get(pool, key);
      return (...args: Parameters<Pool["query"]>) => {
        queries++;
        return pool.query(...args);
      };
    },
  });
  return { result: await module.run(counting), queries };
}

const declines = inputs.filter((name) => text(name).startsWith("// declines: "));
const patched = inputs.filter((name) => !declines.includes(name));

describe.each(patched)("%s", (name) => {
  const source = text(name);

  test("becomes its output file, and nothing outside the edit changes", async () => {
    const result = await patch(name, source);
    if (!result.ok) throw new Error(`declined: ${result.declined.condition}: ${result.declined.reason}`);
    const after = result.patch.files[0]?.after ?? "";
    await expect(after).toMatchFileSnapshot(join(folder, name.replace(".input.", ".output.")));
    expect(result.patch.diff).toContain(`+++ b/${name}`);
    const common = source.slice(0, source.search(/for \(const \w+ of/)).replace(/\s*\/\/.*\s*$/, "");
    expect(after.startsWith(common)).toBe(true);
    const rest = source.slice(source.lastIndexOf("$1"));
    const tail = rest.slice(rest.search(/\](?:,\s*)?\s*\)/)).replace(/^\](?:,\s*)?\s*\)/, "");
    expect(after.endsWith(tail)).toBe(true);
    expect(after.includes("\r\n")).toBe(source.includes("\r\n"));
    expect(after.replaceAll("\r\n", "").includes("\n")).toBe(source.replaceAll("\r\n", "").includes("\n"));
  });

  test("gives on a real Postgres what the loop gave, with two queries in all", async () => {
    const before = await run(name);
    const after = await run(name.replace(".input.", ".output."));
    expect(after.result).toEqual(before.result);
    expect(before.queries).toBeGreaterThanOrEqual(5);
    expect(after.queries).toBe(2);
  });

  test("is not patched a second time", async () => {
    const output = text(name.replace(".input.", ".output."));
    expect(await patch(name, output)).toMatchObject({ ok: false });
  });
});

test.each(declines)("%s declines with its condition", async (name) => {
  const condition = /^\/\/ declines: (\S+)/.exec(text(name))?.[1];
  const result = await patch(name, text(name));
  expect(result).toMatchObject({ ok: false, declined: { condition } });
});

test("without a database to ask, the type of the key is not known", async () => {
  const name = "batch-shop.input.ts";
  const result = await patchFor(findingFor(name, text(name)), async () => text(name));
  expect(result).toMatchObject({ ok: false, declined: { condition: "unknown-key-type" } });
});

test("a file that is not in the checkout, or that does not parse, declines", async () => {
  const finding = findingFor("src/a.ts", text("batch-shop.input.ts"));
  expect(await patchFor(finding, async () => null)).toMatchObject({ declined: { condition: "no-such-file" } });
  expect(await patchFor(finding, async () => "const = 1")).toMatchObject({ declined: { condition: "does-not-parse" } });
});

test("the database is asked about one SELECT only, and reads no row for it", async () => {
  const types = sessionSqlTypes(database.client);
  expect(await types("SELECT id, name FROM customers WHERE id = $1 AND name <> $2 -- the one")).toEqual({
    parameters: ["integer", "text"],
    columns: [
      { name: "id", type: "integer" },
      { name: "name", type: "text" },
    ],
    uniqueColumns: expect.arrayContaining(["id", "email"]),
  });
  // Each would take a second a row, or leave something behind.
  expect(await types("SELECT pg_sleep(1), id FROM customers;")).toMatchObject({ parameters: [] });
  expect(await types("SELECT 1; DROP TABLE customers")).toBeNull();
  expect(await types("DELETE FROM customers WHERE id = $1")).toBeNull();
  expect(await types("WITH gone AS (DELETE FROM customers RETURNING id) SELECT id FROM gone")).toBeNull();
  expect(await types("SELECT 1) AS t; DROP TABLE customers; SELECT * FROM (SELECT 2")).toBeNull();
  expect(await types("SELECT id FROM gone_table")).toBeNull();
  const { rows } = await database.client.query("SELECT count(*)::int AS customers FROM customers");
  expect(rows).toEqual([{ customers: 40 }]);
  expect(await postgresSqlTypes(database.url)("SELECT id FROM accounts")).toMatchObject({
    columns: [{ type: "bigint" }],
  });
});

test("a JavaScript file is patched without type annotations", async () => {
  const source = [
    'import { pool } from "./database.js";',
    "",
    "export async function run() {",
    '  const { rows: orders } = await pool.query("SELECT id, customer_id FROM orders ORDER BY id");',
    "  const names = [];",
    "  for (const order of orders) {",
    '    const { rows } = await pool.query("SELECT id, name FROM customers WHERE id = $1", [order.customer_id]);',
    "    names.push(rows[0]?.name);",
    "  }",
    "  return names.filter((name) => name);",
    "}",
    "",
  ].join("\n");
  const result = await patch("src/orders.js", source);
  if (!result.ok) throw new Error(result.declined.reason);
  const after = result.patch.files[0]?.after;
  expect(after).toContain('"SELECT id, name FROM customers WHERE id = ANY($1)"');
  expect(after).toContain("new Map(customers.map((row) => [row.id, [row]]))");
});
