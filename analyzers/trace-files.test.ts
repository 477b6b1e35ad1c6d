// Trace files: what `tsdev analyze` and `tsdev suggest` answer for OTLP/JSON on disk.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { execa } from "execa";
import { afterAll, describe, expect, test } from "vitest";

const cli = join(import.meta.dirname, "../cli/tsdev.js");
const folder = mkdtempSync(join(tmpdir(), "tsdev-trace-files-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const attribute = (key: string, value: string) => ({ key, value: { stringValue: value } });
const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");

/** One request's trace: a server span over `queries` equal statements of 3 ms each. */
function traceOf(index: number, queries: number): object {
  const start = BigInt(Date.UTC(2024, 0, 1)) * 1_000_000n + BigInt(index) * 1_000_000_000n;
  const traceId = hex(index + 1, 32);
  const span = (
    id: number,
    parent: number | null,
    name: string,
    kind: number,
    at: number,
    ms: number,
    attributes: object[],
  ) => ({
    traceId,
    spanId: hex(index * 1000 + id + 1, 16),
    ...(parent === null ? {} : { parentSpanId: hex(index * 1000 + parent + 1, 16) }),
    name,
    kind,
    startTimeUnixNano: String(start + BigInt(at) * 1_000_000n),
    endTimeUnixNano: String(start + BigInt(at + ms) * 1_000_000n),
    attributes,
    status: {},
  });
  const children = Array.from({ length: queries }, (_, number) =>
    span(number + 1, 0, "pg.query:SELECT shop", 3, 1 + number * 3, 3, [
      attribute("db.system.name", "postgresql"),
      attribute("db.query.text", "SELECT name FROM customers WHERE id = $1"),
      attribute("code.file.path", "src/orders.ts"),
      attribute("code.line.number", "12"),
      attribute("tsdev.code.frames", '["src/orders.ts:12:list"]'),
    ]),
  );
  const root = span(0, null, "GET /orders", 2, 0, 2 + queries * 3, [
    attribute("http.request.method", "GET"),
    attribute("http.route", "/orders"),
  ]);
  return {
    resourceSpans: [
      {
        resource: { attributes: [attribute("service.name", "shop")] },
        scopeSpans: [{ scope: { name: "test" }, spans: [root, ...children] }],
      },
    ],
  };
}

const run = (args: string[]) => execa(process.execPath, [cli, ...args, "--json"], { reject: false });

describe("analyze", () => {
  test("finds the N+1 of a gzipped file with one request a line, and says what it counted", async () => {
    const path = join(folder, "traces.jsonl.gz");
    writeFileSync(
      path,
      gzipSync(Array.from({ length: 30 }, (_, index) => JSON.stringify(traceOf(index, 20))).join("\n")),
    );
    const { stdout, exitCode } = await run(["analyze", path]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      spans: 630,
      traces: 30,
      findings: [
        { detector: "n-plus-one", service: "shop", file: "src/orders.ts", line: 12, occurrences: 30, repeats: 20 },
      ],
    });
  });

  test("reads a file that is one pretty-printed request", async () => {
    const path = join(folder, "one.json");
    writeFileSync(path, JSON.stringify(traceOf(0, 2), null, 2));
    expect(JSON.parse((await run(["analyze", path])).stdout)).toMatchObject({ spans: 3, traces: 1, findings: [] });
  });

  test("names the file and the request that is not OTLP, and exits with 1", async () => {
    const path = join(folder, "bad.jsonl");
    writeFileSync(path, `${JSON.stringify(traceOf(0, 1))}\n{"resourceSpans": 7}\n`);
    const { stderr, stdout, exitCode } = await run(["analyze", path]);
    expect([exitCode, stdout]).toEqual([1, ""]);
    expect(JSON.parse(stderr).error).toMatchObject({
      code: "invalid_input",
      message: expect.stringContaining(`${path}, request 2`),
    });
  });
});

test("suggest patches nothing outside the checkout and says why it declined", async () => {
  const path = join(folder, "traces.jsonl");
  writeFileSync(path, Array.from({ length: 30 }, (_, index) => JSON.stringify(traceOf(index, 20))).join("\n"));
  const { stdout, exitCode } = await run(["suggest", "--repo", folder, "--traces", path]);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    suggestions: [],
    declined: [{ detector: "n-plus-one", file: "src/orders.ts" }],
  });
});
