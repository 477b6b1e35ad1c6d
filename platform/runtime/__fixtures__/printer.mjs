// An app that prints numbered lines at a steady pace and listens.
import { createServer } from "node:http";

let line = 0;
setInterval(() => console.log(`line ${++line}`), Number(process.env.EVERY_MS ?? 5));
createServer((_request, response) => response.end(String(line))).listen(Number(process.env.PORT));
