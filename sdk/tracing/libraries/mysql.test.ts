// MySQL: mysql2 with promises and callbacks, and ORMs on it, against a real server and with one connection each.
import mysql from "mysql2/promise";
import { afterAll, beforeAll, describe } from "vitest";
import { hasMysql, type MysqlFixture, startMysql } from "./mysql.fixture.ts";
import { type TracedLibrary, tracedLibraryContract } from "./traced-library.contract.ts";

describe.skipIf(!hasMysql())("MySQL", () => {
  let server: MysqlFixture;
  beforeAll(async () => {
    server = await startMysql();
    const connection = await mysql.createConnection({ uri: server.url, multipleStatements: true });
    await connection.query(`
      CREATE TABLE customers (id int PRIMARY KEY, name varchar(20) NOT NULL);
      INSERT INTO customers VALUES (1, 'Ada'), (2, 'Bob'), (3, 'Cy');
      CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL);
      INSERT INTO orders VALUES (1, 3), (2, 1);`);
    await connection.end();
  });
  afterAll(() => server?.stop());

  const shared = {
    env: () => ({ MYSQL_URL: server.url }),
    statement: /^select .*customers.*where/is,
    attributes: { "db.system.name": "mysql", "db.namespace": "shop", "server.address": "127.0.0.1" },
    failure: { statement: /nowhere/, errorType: "ER_NO_SUCH_TABLE", message: /nowhere' doesn't exist/ },
  };
  const transaction = { path: "transaction", result: "Bob", marks: ["transaction"] };

  const libraries: TracedLibrary[] = [
    {
      ...shared,
      library: "mysql2 with promises",
      program: "mysql2-promise.ts",
      others: [{ path: "execute", result: "Bob", marks: ["execute"] }, transaction],
    },
    {
      ...shared,
      library: "mysql2 with callbacks",
      program: "mysql2-callback.ts",
      others: [
        { path: "nested", result: "Bob Cy", marks: ["nested", "query"] },
        { path: "events", result: ["Ada", "Bob", "Cy"], marks: ["events"], statement: /ORDER BY id/ },
      ],
    },
    {
      ...shared,
      library: "Drizzle on mysql2",
      program: "drizzle-mysql2.ts",
      others: [transaction],
      failure: { ...shared.failure, message: /Failed query: SELECT nothing/ },
    },
    { ...shared, library: "Knex on mysql2", program: "knex-mysql2.ts", others: [transaction] },
    {
      ...shared,
      library: "TypeORM on mysql2",
      program: "typeorm-mysql2.ts",
      others: [transaction, { path: "lazy", result: ["Cy", "Ada"], marks: ["lazy", "lazy"] }],
    },
    { ...shared, library: "Sequelize on mysql2", program: "sequelize-mysql2.ts", others: [transaction] },
  ];
  tracedLibraryContract(libraries);
});
