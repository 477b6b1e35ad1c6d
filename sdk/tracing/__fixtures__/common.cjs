// App: CommonJS, with pg and node:https required before use; `@` marks the lines that tests look for.
const http = require("http");
const { Pool } = require("pg");

const pool = new Pool({ connectionString: process.env.DATABASE_URL });

async function one(id) {
  return pool.query("SELECT $1::int AS id", [id]); // @query
}

const server = http.createServer(async (_request, response) => {
  for (const id of [1, 2]) await one(id); // @loop
  response.end("done");
});
server.listen(process.env.PORT, () => console.log(`listening on ${server.address().port}`));
