// Delivery against a real server: nothing is lost while it is away, and no more is kept than agreed.
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type CollectorFixture, startCollector } from "./collector.fixture.ts";
import { Delivery } from "./delivery.ts";

let collector: CollectorFixture;

beforeEach(async () => {
  collector = await startCollector();
});

afterEach(async () => {
  await collector.leave().catch(() => {});
});

function delivery(maxQueued = 50_000, to = collector.url): Delivery<number> {
  return new Delivery<number>({
    url: `${to}/v1/recordings`,
    headers: { authorization: "Bearer tok" },
    contentType: "application/json",
    maxItems: 10,
    delayMs: 5,
    maxQueued,
    encode: (items) => Buffer.from(JSON.stringify({ recordings: items })),
  });
}

const received = () => collector.recordings as unknown as number[];
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => index + from);

test("items arrive in batches, once and in order", async () => {
  const sent = delivery();
  for (const item of numbers(95)) sent.add(item);
  await collector.until("all", () => received().length === 95);
  expect(received()).toEqual(numbers(95));
  expect(collector.requests).toBe(10);
  expect(collector.headers).toMatchObject({ authorization: "Bearer tok", "content-type": "application/json" });
  expect(sent.queued).toBe(0);
});

test("batches are compressed on their way to another machine, and not within one", async () => {
  // An address of this machine that does not look like one.
  const sent = delivery(50_000, collector.url.replace("127.0.0.1", "0.0.0.0"));
  for (const item of numbers(10)) sent.add(item);
  await collector.until("the first batch", () => received().length === 10);
  expect(collector.headers).toHaveProperty("content-encoding", "gzip");
  const near = delivery();
  for (const item of numbers(10, 10)) near.add(item);
  await collector.until("the second batch", () => received().length === 20);
  expect(collector.headers).not.toHaveProperty("content-encoding");
  expect(received()).toEqual(numbers(20));
});

test("nothing is lost while connections are refused", async () => {
  const sent = delivery();
  sent.add(0);
  await collector.until("the first", () => received().length === 1);
  await collector.leave();
  for (const item of numbers(50, 1)) sent.add(item);
  await collector.until("a failed attempt", () => sent.away);
  expect(sent.queued).toBe(50);
  await collector.comeBack();
  await collector.until("all", () => received().length === 51);
  expect(received()).toEqual(numbers(51));
});

test.each([429, 503])("nothing is lost while the collector answers %d", async (status) => {
  const sent = delivery();
  collector.status = status;
  for (const item of numbers(30)) sent.add(item);
  await collector.until("a second attempt", () => collector.requests >= 2);
  collector.status = 200;
  await collector.until("all", () => received().length === 30);
  expect(received()).toEqual(numbers(30));
});

test("what the collector refuses for good is dropped, and the next batch is sent", async () => {
  const sent = delivery();
  collector.status = 400;
  for (const item of numbers(10)) sent.add(item);
  await collector.until("the refusal", () => sent.dropped === 10);
  collector.status = 200;
  for (const item of numbers(10, 10)) sent.add(item);
  await collector.until("the rest", () => received().length === 10);
  expect(received()).toEqual(numbers(10, 10));
});

test("past the bound the oldest are dropped, which is said once", async () => {
  const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  await collector.leave();
  const sent = delivery(100);
  for (const item of numbers(10)) sent.add(item);
  await collector.until("a failed attempt", () => sent.away);
  for (const item of numbers(140, 10)) sent.add(item);
  expect(sent.queued).toBeLessThanOrEqual(100);
  await collector.comeBack();
  await collector.until("what was kept", () => sent.queued === 0);
  expect(received().at(-1)).toBe(149);
  expect(received().length + sent.dropped).toBe(150);
  expect(said.mock.calls.map(([text]) => text)).toEqual([expect.stringMatching(/^tsdev: more than 100 items wait/)]);
  said.mockRestore();
});

test("flush sends what waits at once, and gives up at the first refused connection", async () => {
  const sent = delivery();
  for (const item of numbers(25)) sent.add(item);
  await sent.flush(1_000);
  expect(received()).toHaveLength(25);
  await collector.leave();
  sent.add(25);
  const started = performance.now();
  await sent.flush(1_000);
  expect(performance.now() - started).toBeLessThan(500);
  expect(sent.queued).toBe(1);
});
