// Program: MikroORM on pg.
import { defineEntity, MikroORM, p } from "@mikro-orm/core";
import { PostgreSqlDriver } from "@mikro-orm/postgresql";
import { serve } from "./serve.ts";

const customers = defineEntity({
  name: "Customer",
  tableName: "customers",
  properties: { id: p.integer().primary(), name: p.text() },
});
const orm = await MikroORM.init({
  driver: PostgreSqlDriver,
  clientUrl: process.env.DATABASE_URL!,
  entities: [customers],
  pool: { min: 0, max: 1 },
});

async function customer(id: number): Promise<string> {
  const row = await orm.em.fork().findOneOrFail(customers, { id }); // @query
  return row.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function inTransaction(): Promise<string> {
  return orm.em.fork().transactional(async (em) => {
    const row = await em.findOneOrFail(customers, { id: 2 }); // @transaction
    return row.name;
  });
}

serve({
  loop,
  transaction: inTransaction,
  fail: () => orm.em.getConnection().execute("SELECT nothing FROM nowhere"),
});
