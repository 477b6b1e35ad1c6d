// PostgreSQL: pg, postgres.js and the ORMs on them, against a real server and with one connection each.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { afterAll, beforeAll } from "vitest";
import { type PostgresFixture, startPostgres } from "../../engine/postgres.fixture.ts";
import { type TracedLibrary, tracedLibraryContract } from "./traced-library.contract.ts";

const run = promisify(execFile);
const prisma = fileURLToPath(new URL("../../../node_modules/prisma/build/index.js", import.meta.url));

let postgres: PostgresFixture;
beforeAll(async () => {
  postgres = await startPostgres();
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(`
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
    INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cy');
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL REFERENCES customers);
    INSERT INTO orders VALUES (1, 3), (2, 1);`);
  await client.end();
});
afterAll(() => postgres?.stop());

const attributes = { "db.system.name": "postgresql", "db.namespace": "postgres", "server.address": "127.0.0.1" };
const shared = {
  env: () => ({ DATABASE_URL: postgres.url }),
  statement: /^select .*customers.*where/is,
  attributes,
  failure: { statement: /nowhere/, errorType: "42P01", message: /relation "nowhere" does not exist/ },
};
const transaction = { path: "transaction", result: "Bob", marks: ["transaction"] };

const libraries: TracedLibrary[] = [
  {
    ...shared,
    library: "pg",
    program: "pg.ts",
    others: [
      { path: "client", result: "Bob", marks: ["client"] },
      { path: "callback", result: "Cy", marks: ["callback"] },
      { path: "cursor", result: ["Ada", "Bob", "Cy"], marks: ["cursor"], statement: /ORDER BY id/ },
    ],
  },
  {
    ...shared,
    library: "Drizzle on pg",
    program: "drizzle-pg.ts",
    others: [transaction],
    failure: { ...shared.failure, message: /Failed query: SELECT nothing/ },
  },
  { ...shared, library: "Kysely", program: "kysely.ts", others: [transaction] },
  { ...shared, library: "Knex", program: "knex.ts", others: [transaction] },
  {
    ...shared,
    library: "Prisma",
    program: "prisma.ts",
    files: ["schema.prisma"],
    // The engine for migrations comes from Prisma's own host; generating does without it.
    prepare: async (folder) => {
      await run(process.execPath, [prisma, "generate", "--schema", join(folder, "schema.prisma")], {
        cwd: folder,
        env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: "/bin/true", CHECKPOINT_DISABLE: "1" },
      });
    },
    others: [
      { path: "unique", result: ["Ada", "Bob", "Cy"], marks: ["unique", "unique", "unique"] },
      { path: "raw", result: "Bob", marks: ["raw"] },
      { path: "array", result: ["Ada", "Cy"], marks: ["array", "array"] },
      transaction,
    ],
  },
  {
    ...shared,
    library: "TypeORM",
    program: "typeorm.ts",
    others: [transaction, { path: "lazy", result: ["Cy", "Ada"], marks: ["lazy", "lazy"] }],
  },
  { ...shared, library: "Sequelize", program: "sequelize.ts", others: [transaction] },
  { ...shared, library: "MikroORM", program: "mikro-orm.ts", others: [transaction] },
  {
    ...shared,
    library: "Objection",
    program: "objection.ts",
    others: [transaction],
    failure: { statement: /nothing/, errorType: "42703", message: /column "nothing" does not exist/ },
  },
  {
    ...shared,
    library: "postgres.js",
    program: "postgres-js.ts",
    others: [
      transaction,
      { path: "unsafe", result: "Cy", marks: ["unsafe"] },
      { path: "fragment", result: ["Bob", "Cy"], marks: ["fragment"] },
      { path: "cursor", result: ["Ada", "Bob", "Cy"], marks: ["cursor"], statement: /ORDER BY id$/ },
    ],
  },
  { ...shared, library: "postgres.js in CommonJS", program: "postgres-js.cjs" },
  {
    ...shared,
    library: "Drizzle on postgres.js",
    program: "drizzle-postgres-js.ts",
    others: [transaction],
    failure: { ...shared.failure, message: /Failed query: SELECT nothing/ },
  },
];

tracedLibraryContract(libraries);
