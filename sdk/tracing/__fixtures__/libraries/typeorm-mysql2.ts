// Program: TypeORM on mysql2, with a lazy relation.
import { DataSource, EntitySchema } from "typeorm";
import { serve } from "./serve.ts";

interface Customer {
  id: number;
  name: string;
}
interface Order {
  id: number;
  customer: Promise<Customer>;
}

const customers = new EntitySchema<Customer>({
  name: "Customer",
  tableName: "customers",
  columns: { id: { type: "int", primary: true }, name: { type: "text" } },
});
const orders = new EntitySchema<Order>({
  name: "Order",
  tableName: "orders",
  columns: { id: { type: "int", primary: true } },
  relations: {
    customer: { type: "many-to-one", target: "Customer", lazy: true, joinColumn: { name: "customer_id" } },
  },
});
const db = new DataSource({
  type: "mysql",
  url: process.env.MYSQL_URL!,
  entities: [customers, orders],
  poolSize: 1,
});
await db.initialize();

async function customer(id: number): Promise<string> {
  const row = await db.getRepository(customers).findOneByOrFail({ id }); // @query
  return row.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function lazyLoop(): Promise<string[]> {
  const names: string[] = [];
  for (const order of await db.getRepository(orders).find({ order: { id: "ASC" } })) {
    const row = await order.customer; // @lazy
    names.push(row.name);
  }
  return names;
}

async function inTransaction(): Promise<string> {
  return db.transaction(async (tx) => {
    const row = await tx.getRepository(customers).findOneByOrFail({ id: 2 }); // @transaction
    return row.name;
  });
}

serve({ loop, lazy: lazyLoop, transaction: inTransaction, fail: () => db.query("SELECT nothing FROM nowhere") });
