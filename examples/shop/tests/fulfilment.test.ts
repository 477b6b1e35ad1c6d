// Fulfilment: an order is shipped once, and a carrier that fails does not harm it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { pool } from "../src/database.ts";
import { firstThat, runningShop } from "./running-shop.ts";

const shop = runningShop();

/** Orders that no other test ships. */
function* orders() {
  for (let id = 901; id < 1_000; id++) yield String(id);
}

async function order(id: string): Promise<{ status: string; tracking_code: string | null }> {
  const { rows } = await pool.query("SELECT status, tracking_code FROM orders WHERE id = $1", [id]);
  return rows[0];
}

test("a shipped order has the carrier's tracking code and no longer waits", async () => {
  const id = firstThat("works", "carrier", orders());
  await pool.query("UPDATE orders SET status = 'paid', tracking_code = NULL WHERE id = $1", [id]);
  const response = await shop.post(`/orders/${id}/ship`);
  assert.equal(response.status, 200);
  const shipped = (await response.json()) as { orderId: number; trackingCode: string; status: string };
  assert.equal(shipped.status, "shipped");
  assert.deepEqual(await order(id), { status: "shipped", tracking_code: shipped.trackingCode });
  const waiting = (await (await shop.get("/orders/waiting?limit=1000")).json()) as number[];
  assert.ok(!waiting.includes(Number(id)));
});

test("when the carrier fails every time the client hears which step, and the order still waits", async () => {
  const broken = createServer((_request, response) => void response.writeHead(503).end());
  broken.listen(0, "127.0.0.1");
  await once(broken, "listening");
  process.env.CARRIER_URL = `http://127.0.0.1:${(broken.address() as AddressInfo).port}`;
  try {
    const [id = ""] = orders();
    await pool.query("UPDATE orders SET status = 'paid', tracking_code = NULL WHERE id = $1", [id]);
    const failed = await shop.post(`/orders/${id}/ship`);
    assert.equal(failed.status, 502);
    const error = (await failed.json()) as { code: string; message: string };
    assert.equal(error.code, "step_failed");
    assert.match(error.message, /ship-order.*the carrier service answered 503/);
    assert.equal((await order(id)).status, "paid");
  } finally {
    delete process.env.CARRIER_URL;
    broken.close();
    broken.closeAllConnections();
  }
});

test("an order whose first try at the carrier fails is shipped at the latest when the client tries again", async () => {
  const id = firstThat("fails", "carrier", orders());
  const answers = [await shop.post(`/orders/${id}/ship`)];
  if (answers[0]?.status === 502) answers.push(await shop.post(`/orders/${id}/ship`));
  assert.equal(answers.at(-1)?.status, 200);
  assert.equal((await order(id)).status, "shipped");
  assert.equal(shop.tries("carrier", id), 2);
});

test("shipping an order twice gives the same tracking code", async () => {
  const id = firstThat("works", "carrier", orders());
  const [first, second] = [await shop.post(`/orders/${id}/ship`), await shop.post(`/orders/${id}/ship`)];
  assert.deepEqual(await first.json(), await second.json());
});

test("an order that does not exist is not found", async () => {
  const response = await shop.post("/orders/99999999/ship");
  assert.equal(response.status, 404);
  assert.equal((await shop.post("/orders/abc/ship")).status, 400);
});
