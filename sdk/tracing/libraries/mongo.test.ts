// MongoDB: its driver and Mongoose, against a server that speaks its protocol and with one connection each.
import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe } from "vitest";
import { hasMongo, type MongoFixture, startMongo } from "./mongo.fixture.ts";
import { customerNames, type TracedLibrary, tracedLibraryContract } from "./traced-library.contract.ts";

describe.skipIf(!(await hasMongo()))("MongoDB", () => {
  let server: MongoFixture;
  beforeAll(async () => {
    server = await startMongo();
    const client = new MongoClient(server.url);
    const customers = client.db("shop").collection<{ _id: number; name: string }>("customers");
    await customers.insertMany(customerNames.map((name, index) => ({ _id: index + 1, name })));
    await client.close();
    // Where the server was never built here, that comes first.
  }, 300_000);
  afterAll(() => server?.stop());

  const shared = {
    env: () => ({ MONGO_URL: server.url }),
    statement: /^\{"find":"customers","filter":\{"_id":"\?"\}/,
    attributes: {
      "db.system.name": "mongodb",
      "db.namespace": "shop",
      "db.operation.name": "find",
      "db.collection.name": "customers",
      "server.address": "127.0.0.1",
    },
    failure: { statement: /^\{"insert"/, errorType: "11000", message: /duplicate key/ },
  };
  const libraries: TracedLibrary[] = [
    {
      ...shared,
      library: "mongodb",
      program: "mongodb.ts",
      others: [
        { path: "cursor", result: customerNames, marks: ["cursor", "cursor"], statement: /"(sort|getMore)"/ },
        {
          path: "aggregate",
          result: [{ count: 2 }],
          marks: ["aggregate"],
          statement: /"\$match":\{"_id":\{"\$gt":"\?"\}\}/,
        },
      ],
    },
    {
      ...shared,
      library: "Mongoose",
      program: "mongoose.ts",
      others: [{ path: "executed", result: "Bob", marks: ["executed"] }],
    },
  ];
  tracedLibraryContract(libraries);
});
