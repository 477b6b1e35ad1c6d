// The commands over telemetry on the running platform: metrics, sql and traces, as people read them and as JSON.
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
  const nanos = (ago: number) => String(BigInt(Date.now() - ago) * 1_000_000n);
  const resource = { attributes: [{ key: "service.name", value: { stringValue: "shop" } }] };
  const dataPoints = [60_000, 30_000, 1_000].map((ago, i) => ({
    ...{ startTimeUnixNano: nanos(90_000), timeUnixNano: nanos(ago), asInt: String(i * 30) },
    attributes: [{ key: "kind", value: { stringValue: "book" } }],
  }));
  const sum = { aggregationTemporality: 2, isMonotonic: true, dataPoints };
  await send("metrics", {
    resourceMetrics: [{ resource, scopeMetrics: [{ metrics: [{ name: "orders", unit: "{order}", sum }] }] }],
  });
  const times = { startTimeUnixNano: nanos(1_000), endTimeUnixNano: nanos(900) };
  const span = { traceId: "1".repeat(32), spanId: "2".repeat(16), name: "GET /orders", kind: 2, ...times };
  await send("traces", { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] });
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
  const answer = await said("sql", "SELECT Operation, count() AS spans FROM otel_traces GROUP BY 1", "--json");
  expect(JSON.parse(answer.stdout)).toEqual({ rows: [{ Operation: "GET /orders", spans: 1 }], truncated: false });
  expect((await said("sql", "SELECT Value FROM otel_metrics_sum ORDER BY 1")).stdout).toMatch(/Value[\s\S]*0[\s\S]*60/);
  const refused = await said("sql", "SELECT * FROM system.tables");
  expect(refused.code).not.toBe(0);
  expect(refused.stderr).toContain("cannot be asked");
});

test("traces shows a trace as a waterfall", async () => {
  expect((await said("traces")).stdout).toContain("GET /orders");
  expect((await said("traces", "1".repeat(32))).stdout).toMatch(/100\.00 +.*█+.*GET \/orders/);
});
