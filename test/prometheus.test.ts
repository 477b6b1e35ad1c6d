// Prometheus and the running platform: who may scrape, what a scrape says, and OTLP over HTTP by an environment's token.
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
