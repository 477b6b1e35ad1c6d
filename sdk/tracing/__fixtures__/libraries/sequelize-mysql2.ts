// Program: Sequelize on mysql2.
import { DataTypes, type Model, Sequelize } from "sequelize";
import { serve } from "./serve.ts";

interface Customer extends Model {
  id: number;
  name: string;
}

const db = new Sequelize(process.env.MYSQL_URL!, { logging: false, pool: { max: 1 } });
const customers = db.define<Customer>(
  "customer",
  { id: { type: DataTypes.INTEGER, primaryKey: true }, name: DataTypes.TEXT },
  { tableName: "customers", timestamps: false },
);

async function customer(id: number): Promise<string> {
  const row = await customers.findByPk(id); // @query
  return row!.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function inTransaction(): Promise<string> {
  return db.transaction(async (transaction) => {
    const row = await customers.findByPk(2, { transaction }); // @transaction
    return row!.name;
  });
}

serve({ loop, transaction: inTransaction, fail: () => db.query("SELECT nothing FROM nowhere") });
