// Checkout: stock goes down once, refusals are typed, and a failed payment may be tried again.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { pool } from "../src/database.ts";
import { firstThat, runningShop } from "./running-shop.ts";

const shop = runningShop();

function* references() {
  for (;;) yield `test-${randomUUID()}`;
}

const cart = (reference: string, productId: number, quantity: number) => ({
  reference,
  customerId: 11,
  lines: [{ productId, quantity }],
  paymentMethod: "pm_11",
});

/** The products are this file's alone, so that the other files' tests may run at the same time. */
async function stock(productId: number): Promise<{ on_hand: number; reserved: number }> {
  const { rows } = await pool.query("SELECT on_hand, reserved FROM inventory WHERE product_id = $1", [productId]);
  return rows[0];
}

test("a checkout charges the card, takes the stock and records the order", async () => {
  const reference = firstThat("works", "payment", references());
  const before = await stock(41);
  const response = await shop.post("/checkout", cart(reference, 41, 3));
  assert.equal(response.status, 201);
  const receipt = (await response.json()) as { orderId: number; orderNumber: string; totalCents: number };
  assert.equal(receipt.orderNumber, `S-${reference}`);
  assert.deepEqual(await stock(41), { on_hand: before.on_hand - 3, reserved: before.reserved });
  const { rows } = await pool.query(
    `SELECT customer_id, status, total_cents, product_id, quantity FROM orders
     JOIN order_lines ON order_id = orders.id WHERE reference = $1`,
    [reference],
  );
  const expected = { customer_id: 11, status: "paid", total_cents: receipt.totalCents, product_id: 41, quantity: 3 };
  assert.deepEqual(rows, [expected]);
  assert.equal(shop.tries("payment", reference), 1);
  assert.equal(shop.tries("mail", `Your order S-${reference}`), 1);
  assert.equal(shop.tries("analytics", `S-${reference}`), 1);
});

test("a checkout that is tried again after a failed payment takes the stock once", async () => {
  const reference = firstThat("fails", "payment", references());
  const before = await stock(42);
  const failed = await shop.post("/checkout", cart(reference, 42, 2));
  assert.equal(failed.status, 502);
  const error = (await failed.json()) as { code: string; message: string; fix: string };
  assert.equal(error.code, "step_failed");
  assert.match(error.message, /charge-card/);
  assert.ok(error.fix);
  assert.equal((await shop.post("/checkout", cart(reference, 42, 2))).status, 201);
  assert.deepEqual(await stock(42), { on_hand: before.on_hand - 2, reserved: before.reserved });
});

test("a cart with more than there is in stock is refused, names the line, and charges nothing", async () => {
  await pool.query("UPDATE inventory SET on_hand = reserved + 4 WHERE product_id = 43");
  const reference = firstThat("works", "payment", references());
  const response = await shop.post("/checkout", cart(reference, 43, 5));
  assert.equal(response.status, 409);
  const error = (await response.json()) as { code: string; message: string; path: string };
  assert.equal(error.code, "conflict");
  assert.match(error.message, /5 asked for, 4 left/);
  assert.equal(error.path, "lines.0.quantity");
  assert.equal(shop.tries("payment", reference), 0);
  assert.equal((await stock(43)).on_hand, (await stock(43)).reserved + 4);
});

test("of two customers who want the last piece one gets it", async () => {
  await pool.query("UPDATE inventory SET on_hand = reserved + 1 WHERE product_id = 44");
  const answers = await Promise.all(
    [1, 2].map(() => shop.post("/checkout", cart(firstThat("works", "payment", references()), 44, 1))),
  );
  assert.deepEqual(answers.map((answer) => answer.status).toSorted(), [201, 409]);
  assert.deepEqual(await stock(44), { on_hand: 0, reserved: 0 });
});

test("a cart that makes no sense is refused with the place of the mistake", async () => {
  const good = cart("test-wrong", 45, 1);
  const cases: [unknown, number, string][] = [
    [{ ...good, lines: [] }, 400, "lines"],
    [{ ...good, lines: [{ productId: 999, quantity: 1 }] }, 400, "lines.0.productId"],
    [{ ...good, lines: [good.lines[0], good.lines[0]] }, 400, "lines.1.productId"],
    [{ ...good, customerId: 999_999 }, 404, "customerId"],
  ];
  for (const [body, status, path] of cases) {
    const response = await shop.post("/checkout", body);
    const error = (await response.json()) as { path: string };
    assert.deepEqual({ status: response.status, path: error.path }, { status, path });
  }
  assert.equal((await shop.post("/checkout")).status, 400);
});
