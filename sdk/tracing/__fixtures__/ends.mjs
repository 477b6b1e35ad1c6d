// App: makes one span and ends in the way that is asked for.
import { createServer } from "node:http";

const way = process.argv[2];
const server = createServer((_request, response) => response.end("ok")).listen(0);
await fetch(`http://127.0.0.1:${server.address().port}/last`).then((answer) => answer.text());
if (way === "exit") process.exit(7);
else if (way === "throw") throw new Error("as asked");
else if (way === "wait") console.log("waiting");
else if (way === "handler-exit") {
  process.on("SIGTERM", () => process.exit(6));
  console.log("waiting");
} else if (way === "handler") {
  process.on("SIGTERM", () => {
    console.log(`listeners ${process.listenerCount("SIGTERM")}`);
    process.exitCode = 5;
    server.close();
    server.closeAllConnections();
  });
  console.log("waiting");
} else {
  server.close();
  server.closeAllConnections();
}
