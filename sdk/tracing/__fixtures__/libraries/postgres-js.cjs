// Program: postgres.js in CommonJS.
const http = require("node:http");
const postgres = require("postgres");

const sql = postgres(process.env.DATABASE_URL, { max: 1 });

async function customer(id) {
  const [row] = await sql`SELECT name FROM customers WHERE id = ${id}`; // @query
  return row.name;
}

async function loop() {
  const names = [];
  for (const id of [1, 2, 3]) names.push(await customer(id)); // @loop
  return names;
}

const server = http.createServer(async (request, response) => {
  try {
    const result = request.url === "/loop" ? await loop() : await sql`SELECT nothing FROM nowhere`;
    response.end(JSON.stringify({ result }));
  } catch ({ name, message }) {
    response.writeHead(500).end(JSON.stringify({ name, message }));
  }
});
server.listen(process.env.PORT, () => console.log(`listening on ${server.address().port}`));
