// App: an HTTP server with what HTTP/1.1 has to offer, and a span of its own in a listener.
import http from "node:http";
import { trace } from "@opentelemetry/api";

const tracer = trace.getTracer("own", "1.0.0");
process.on("uncaughtException", () => {});

const routes = {
  "/listener"(request, response) {
    request.on("data", () => {});
    request.on("end", () => {
      tracer.startSpan("in the listener", { attributes: { own: true } }).end();
      response.end("done");
    });
  },
  "/throws"() {
    throw new TypeError("no handler for this");
  },
  "/fails"(_request, response) {
    response.writeHead(503).end();
  },
  "/never"(_request, response) {
    response.on("close", () => process.stdout.write("closed\n"));
    process.stdout.write("waiting\n");
  },
  "/outgoing"(_request, response) {
    http.get(process.env.UPSTREAM, (answer) => answer.resume().on("end", () => response.end("called")));
  },
  async "/fetching"(_request, response) {
    response.end(await (await fetch(process.env.UPSTREAM, { headers: { "x-own": "kept" } })).text());
  },
};

const server = http.createServer((request, response) => {
  const route = routes[new URL(request.url, "http://app").pathname];
  if (route) route(request, response);
  else response.end(`answer to ${request.url}`);
});
if (process.env.CHECK_CONTINUE) {
  server.on("checkContinue", (request, response) => {
    response.writeContinue();
    server.emit("request", request, response);
  });
}
server.on("upgrade", (_request, socket, head) => {
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
  socket.write(head);
  socket.pipe(socket);
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`listening on ${server.address().port}\n`));
