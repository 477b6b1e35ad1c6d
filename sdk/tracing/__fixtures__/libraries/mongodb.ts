// Program: the driver of MongoDB with a pool of one, a cursor and an aggregation.
import { MongoClient } from "mongodb";
import { serve } from "./serve.ts";

const client = new MongoClient(process.env.MONGO_URL!, { maxPoolSize: 1 });
const customers = client.db("shop").collection<{ _id: number; name: string }>("customers");

async function customer(id: number): Promise<string> {
  const row = await customers.findOne({ _id: id }); // @query
  return row!.name;
}

async function loop(): Promise<string[]> {
  const names: string[] = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

async function cursor(): Promise<string[]> {
  const names: string[] = [];
  for await (const row of customers.find().sort({ _id: 1 }).batchSize(2)) names.push(row.name); // @cursor
  return names;
}

async function aggregate(): Promise<unknown[]> {
  return await customers.aggregate([{ $match: { _id: { $gt: 1 } } }, { $count: "count" }]).toArray(); // @aggregate
}

serve({ loop, cursor, aggregate, fail: () => customers.insertOne({ _id: 1, name: "Eve" }) });
