// Program: Objection on Knex and pg.
import knex from "knex";
import { Model } from "objection";
import { serve } from "./serve.ts";

class Customer extends Model {
  static override tableName = "customers";
  declare id: number;
  declare name: string;
}
Model.knex(knex({ client: "pg", connection: process.env.DATABASE_URL!, pool: { min: 0, max: 1 } }));

async function customer(id: number): Promise<string> {
  const row = await Customer.query().findById(id); // @query
  return row!.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function inTransaction(): Promise<string> {
  return Customer.transaction(async (tx) => {
    const row = await Customer.query(tx).findById(2); // @transaction
    return row!.name;
  });
}

serve({ loop, transaction: inTransaction, fail: async () => Customer.query().where("nothing", 1) });
