// Opens the embedded Postgres of a directory, prints where it is, and goes on living until it is killed.
import { openEmbeddedPostgres } from "../embedded-postgres.ts";

const { url, pid } = await openEmbeddedPostgres({ directory: process.argv[2]! });
console.log(JSON.stringify({ url, pid }));
setInterval(() => {}, 60_000);
