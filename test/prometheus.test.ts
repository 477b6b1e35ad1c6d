// Prometheus and the running platform: who may scrape the platform and an environment, what a scrape says, and OTLP over HTTP by an environment's token.
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endAndRemove, PlatformProcess, temporaryFolder } from "./platform.fixture.ts";

let data: string;
let platform: PlatformProcess;
beforeAll(async () => {
  data = join(await temporaryFolder("prometheus"), "data");
  platform = await PlatformProcess.start(data);
});
afterAll(() => endAndRemove(data, platform));

const scrape = (token?: string) =>
  fetch(`${platform.address.url}/metrics`, token ? { headers: { authorization: `Bearer ${token}` } } : {});

test("an owner's token gets what came in since the start; nobody else gets anything", async () => {
  await platform.client.call("projects.create", { name: "shop" });
  const { token } = await platform.client.call("identity.ingestToken", { project: "shop", environment: "production" });
  const time = String(BigInt(Date.now()) * 1_000_000n);
  const span = {
    traceId: "1".repeat(32),
    spanId: "2".repeat(16),
    name: "x",
    startTimeUnixNano: time,
    endTimeUnixNano: time,
  };
  const sent = await fetch(`${platform.address.otlp}/v1/traces`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }),
  });
  expect(sent.status).toBe(200);
  expect((await scrape()).status).toBe(401);
  expect((await scrape(token)).status).toBe(401);
  const scraped = await scrape(platform.address.token);
  expect(scraped.headers.get("content-type")).toContain("text/plain; version=0.0.4");
  expect(await scraped.text()).toContain('tsdev_telemetry_items_total{signal="traces",outcome="accepted"} 1');
});

test("an environment's token gets that environment's metrics; without one nobody gets any", async () => {
  const tokenOf = async (environment: string) =>
    (await platform.client.call("identity.ingestToken", { project: "shop", environment })).token;
  const production = await tokenOf("production");
  const timeUnixNano = String(BigInt(Date.now()) * 1_000_000n);
  const metrics = [{ name: "orders.open", gauge: { dataPoints: [{ timeUnixNano, asInt: "4" }] } }];
  const sent = await fetch(`${platform.address.otlp}/v1/metrics`, {
    method: "POST",
    headers: { authorization: `Bearer ${production}`, "content-type": "application/json" },
    body: JSON.stringify({ resourceMetrics: [{ scopeMetrics: [{ metrics }] }] }),
  });
  expect(sent.status).toBe(200);
  const read = (token?: string) =>
    fetch(
      `${platform.address.url}/metrics/environment`,
      token ? { headers: { authorization: `Bearer ${token}` } } : {},
    );
  const mine = await read(production);
  expect(mine.headers.get("content-type")).toContain("text/plain; version=0.0.4");
  expect(await mine.text()).toMatch(/^orders_open(\{.*\})? 4$/m);
  expect((await read()).status).toBe(401);
  expect((await read(platform.address.token)).status).toBe(401);
  await platform.client.call("projects.create", { name: "other" });
  const { token } = await platform.client.call("identity.ingestToken", { project: "other", environment: "production" });
  expect(await (await read(token)).text()).not.toContain("orders_open");
});
