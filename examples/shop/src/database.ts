// The shop's database: its tables as types, and one pool that serves both plain SQL and Kysely.
import { type Generated, Kysely, PostgresDialect } from "kysely";
import pg from "pg";

export interface Tables {
  categories: { id: number; name: string };
  products: {
    id: number;
    category_id: number;
    name: string;
    price_cents: number;
    weight_grams: number;
    added_on: string;
  };
  inventory: { product_id: number; on_hand: number; reserved: number };
  stock_reservations: { reference: string; product_id: number; quantity: number; committed: Generated<boolean> };
  customers: { id: number; name: string; email: string; street: string; city: string };
  orders: {
    id: Generated<number>;
    reference: string;
    customer_id: number;
    status: "paid" | "shipped";
    total_cents: number;
    charge_id: string | null;
    tracking_code: string | null;
    placed_on: Generated<string>;
  };
  order_lines: { order_id: number; product_id: number; quantity: number; price_cents: number };
}

if (!process.env.DATABASE_URL) {
  throw new Error(
    "DATABASE_URL is not set. The shop needs a Postgres database that it may fill, for example " +
      '"docker run --rm -p 5432:5432 -e POSTGRES_PASSWORD=shop postgres:18" and ' +
      "DATABASE_URL=postgres://postgres:shop@localhost:5432/postgres",
  );
}

/** A `date` column is a day, not a moment: keep `2026-05-01` as it is instead of a Date in the local time zone. */
pg.types.setTypeParser(pg.types.builtins.DATE, (day) => day);

export const databaseUrl = process.env.DATABASE_URL;
export const pool = new pg.Pool({ connectionString: databaseUrl, max: 10 });
export const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
