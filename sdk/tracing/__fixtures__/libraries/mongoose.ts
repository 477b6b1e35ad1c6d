// Program: Mongoose with a pool of one.
import mongoose from "mongoose";
import { serve } from "./serve.ts";

const schema = new mongoose.Schema({ _id: Number, name: String });
const Customer = mongoose.model("Customer", schema, "customers");
await mongoose.connect(process.env.MONGO_URL!, { dbName: "shop", maxPoolSize: 1, autoIndex: false, autoCreate: false });

async function customer(id: number): Promise<string> {
  const row = await Customer.findById(id); // @query
  return row!.name!;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function executed(): Promise<string> {
  const row = await Customer.findOne({ _id: 2 }).lean().exec(); // @executed
  return row!.name!;
}

serve({ loop, executed, fail: () => Customer.create({ _id: 1, name: "Eve" }) });
