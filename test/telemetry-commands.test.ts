// The commands over telemetry on the running platform: as people read them, as JSON, and as a how-to strings them together.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endAndRemove, PlatformProcess, temporaryFolder, tsdev } from "./platform.fixture.ts";

let data: string;
let platform: PlatformProcess;
beforeAll(async () => {
  data = join(await temporaryFolder("telemetry-commands"), "data");
  platform = await PlatformProcess.start(data);
  await platform.client.call("projects.create", { name: "shop" });
  const { token } = await platform.client.call("identity.ingestToken", { project: "shop", environment: "production" });
  const send = async (path: string, body: object) => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const answer = await fetch(`${platform.address.otlp}/v1/${path}`, {
      ...{ method: "POST", headers, body: JSON.stringify(body) },
    });
    expect(answer.status).toBe(200);
  };
  const now = Date.now();
  const nanos = (ago: number) => String(BigInt(now - ago) * 1_000_000n);
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
  const dataPoints = [60_000, 30_000, 1_000].map((ago, i) => ({
    ...{ startTimeUnixNano: nanos(90_000), timeUnixNano: nanos(ago), asInt: String(i * 30) },
    attributes: [{ key: "kind", value: { stringValue: "book" } }],
  }));
  const sum = { aggregationTemporality: 2, isMonotonic: true, dataPoints };
  await send("metrics", {
    resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [{ name: "orders", unit: "{order}", sum }] }] }],
  });
  const times = { startTimeUnixNano: nanos(1_000), endTimeUnixNano: nanos(850) };
  const span = { traceId: "1".repeat(32), spanId: "2".repeat(16), name: "GET /orders", kind: 2, ...times };
  const query = {
    ...{ ...span, spanId: "3".repeat(16), parentSpanId: span.spanId, name: "SELECT", kind: 3 },
    ...{ startTimeUnixNano: nanos(990), endTimeUnixNano: nanos(890) },
    attributes: [{ key: "db.query.text", value: { stringValue: "SELECT * FROM orders WHERE id = 7" } }],
  };
  await send("traces", { resourceSpans: [{ resource, scopeSpans: [{ spans: [span, query] }] }] });
  const record = { timeUnixNano: nanos(950), traceId: span.traceId, body: { stringValue: "asked for all of them" } };
  const other = { timeUnixNano: nanos(940), body: { stringValue: "of no trace" } };
  await send("logs", { resourceLogs: [{ resource, scopeLogs: [{ logRecords: [record, other] }] }] });
  const instance = [{ key: "service.instance.id", value: { stringValue: "i-1" } }];
  const gauge = (asDouble: number) => ({
    dataPoints: [{ timeUnixNano: nanos(1_000), attributes: instance, asDouble }],
  });
  const measured = [
    { name: "nodejs.eventloop.delay.p99", unit: "s", gauge: gauge(0.02) },
    { name: "tsdev.instance.cpu.time", unit: "s", sum: { ...gauge(3), aggregationTemporality: 2, isMonotonic: true } },
  ];
  await send("metrics", { resourceMetrics: [{ resource, scopeMetrics: [{ metrics: measured }] }] });
});
afterAll(() => endAndRemove(data, platform));

const said = async (...args: string[]) => {
  const { code, stdout, stderr } = await tsdev([...args, "--data", data, "--project", "shop"]);
  return { code, stdout, stderr };
};

test("metrics lists them, shows one over time, and names what is not there", async () => {
  const list = await said("metrics");
  expect(list.stdout).toMatch(/orders +│? *sum.*\{order\}.*kind/);
  const one = await said("metrics", "orders", "--group-by", "kind", "--json");
  const { series, times } = JSON.parse(one.stdout);
  expect(times).toHaveLength(20);
  expect(series).toEqual([{ group: ["book"], values: expect.any(Array) }]);
  const filters = ["--attribute", "kind", "--attribute", "kind!=record"];
  const both = await said("metrics", "orders", "--group-by", "service.name,kind", ...filters, "--json");
  expect(JSON.parse(both.stdout).series).toEqual([{ group: [expect.any(String), "book"], values: expect.any(Array) }]);
  const without = await said("metrics", "orders", "--attribute", "!kind", "--json");
  expect(JSON.parse(without.stdout).series).toEqual([]);
  expect((await said("metrics", "orders")).stdout.split("\n").length).toBeGreaterThan(20);
  const none = await said("metrics", "nothing");
  expect(none.code).not.toBe(0);
  expect(none.stderr).toContain("no metric nothing");
});

test("sql answers from the environment's rows, and says why it does not", async () => {
  const roots = "SELECT Operation, count() AS spans FROM otel_traces WHERE ParentSpanId = '' GROUP BY 1";
  const answer = await said("sql", roots, "--json");
  expect(JSON.parse(answer.stdout)).toEqual({ rows: [{ Operation: "GET /orders", spans: 1 }], truncated: false });
  expect((await said("sql", "SELECT Value FROM otel_metrics_sum ORDER BY 1")).stdout).toMatch(/Value[\s\S]*0[\s\S]*60/);
  const refused = await said("sql", "SELECT * FROM system.tables");
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain("cannot be asked");
});

test("traces shows a trace as a waterfall", async () => {
  expect((await said("traces")).stdout).toContain("GET /orders");
  expect((await said("traces", "1".repeat(32))).stdout).toMatch(/150\.\d+ +.*█+.*GET \/orders/);
});

test("operations lists what was asked, and logs shows the lines of one trace", async () => {
  expect((await said("operations")).stdout).toMatch(/shop +│? *GET \/orders +│? *1 +│? *0 +│? *150\.\d/);
  const lines = (await said("logs", "--trace", "1".repeat(32))).stdout;
  expect(lines).toContain("asked for all of them");
  expect(lines).not.toContain("of no trace");
});

test("the page on finding what is slow leads from the operations to the line of the log", async () => {
  const page = await readFile(join(import.meta.dirname, "../docs/how-to/find-what-is-slow.md"), "utf8");
  const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, text = ""]) =>
    text.replaceAll("TRACE", "1".repeat(32)),
  );
  expect(blocks.length).toBeGreaterThan(4);
  const shown: string[] = [];
  for (const block of blocks) {
    const text = `set -e; npx() { shift; "$NODE" "$TSDEV" "$@" --data "$DATA" --project shop; }\n${block}`;
    const env = {
      ...process.env,
      NODE: process.execPath,
      TSDEV: join(import.meta.dirname, "../cli/tsdev.js"),
      DATA: data,
    };
    shown.push(
      await new Promise<string>((resolve, reject) =>
        execFile("sh", ["-c", text], { env }, (error, stdout, stderr) =>
          error ? reject(new Error(`${block}: ${stderr}`)) : resolve(stdout),
        ),
      ),
    );
  }
  const [list, traces, trace, lines, statements] = shown;
  expect(list).toContain("GET /orders");
  expect(traces).toContain("1".repeat(32));
  expect(trace).toMatch(/█.*GET \/orders[\s\S]*█.*SELECT/);
  expect(lines).toContain("asked for all of them");
  expect(statements).toMatch(/SELECT \* FROM orders WHERE id = \?.*1.*100/);
});
