// A naive app: plain node:http, its version in every answer, slow where it is asked to be, and nothing done about SIGTERM.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const version = readFileSync(new URL("version", import.meta.url), "utf8").trim();

createServer((request, response) => {
  const ms = Number(new URL(request.url, "http://app").searchParams.get("ms") ?? 0);
  let bytes = 0;
  request.on("data", (chunk) => (bytes += chunk.length));
  request.on("end", () =>
    setTimeout(() => {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ version, bytes }));
    }, ms),
  );
}).listen(process.env.PORT, () => console.log(`version ${version} listens`));
