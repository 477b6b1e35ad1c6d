// The shop over HTTP: its routes on the app that the SDK makes.
import { type Engine, TsdevError } from "@tsdev/sdk";
import { createApp, problemOf, toResponse } from "@tsdev/sdk/http";
import type { Hono } from "hono";
import type { z } from "zod";
import { catalogPage } from "./catalog.ts";
import { type Cart, checkout } from "./checkout.ts";
import { customersCsv } from "./customers.ts";
import { fulfilment } from "./fulfilment.ts";
import { newestOrders, waitingOrders } from "./orders.ts";

export function shop(engine: Engine): Hono {
  const app = createApp({ workflows: [checkout, fulfilment], engine });

  app.get("/", (c) => c.text("The shop is open. Try /catalog and /orders.\n"));
  app.get("/catalog", async (c) => c.json(await catalogPage()));
  app.get("/customers/export", async (c) =>
    c.body(await customersCsv(), 200, { "content-type": "text/csv; charset=utf-8" }),
  );
  app.get("/orders", async (c) => c.json(await newestOrders()));
  app.get("/orders/waiting", async (c) => {
    const limit = number(c.req.query("limit") ?? "100", "limit");
    return c.json(await waitingOrders(Math.min(limit, 1_000)));
  });
  app.post("/orders/:id/ship", async (c) => {
    const orderId = number(c.req.param("id"), "id");
    try {
      const { trackingCode, status } = await engine.execute(fulfilment, { orderId });
      return c.json({ orderId, trackingCode, status });
    } catch (error) {
      return failure(error);
    }
  });
  app.post("/checkout", async (c) => {
    // The workflow checks its input by its own contract.
    const cart = (await c.req.json().catch(() => null)) as z.input<typeof Cart>;
    try {
      const { orderId, orderNumber, totalCents } = await engine.execute(checkout, cart);
      return c.json({ orderId, orderNumber, totalCents }, 201);
    } catch (error) {
      return failure(error);
    }
  });
  return app;
}

function number(text: string, path: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new TsdevError("invalid_input", {
    message: `"${text}" is not a number from 1 up`,
    fix: "send a whole number",
    path,
  });
}

/**
 * What the client hears of a failed run. The shop's own refusals, such as too little stock, go out as they are; the
 * failure of a partner is a 502, after which the client may simply send the same again.
 */
function failure(error: unknown): Response {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (TsdevError.is(cause) && cause.status < 500) return toResponse(cause);
  }
  if (!TsdevError.is(error) || error.code !== "step_failed") throw error;
  return Response.json({ ...problemOf(error), status: 502 }, { status: 502 });
}
