// An app for tests: JSON at /, slow answers, bodies, event streams, WebSockets, trailers; how it ends is chosen by the environment.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const version = process.env.VERSION ?? "1";
const json = (response, value, status = 200) => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
};

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://app");
  const seen = { version, pid: process.pid, method: request.method, url: request.url, headers: request.headers };
  if (url.pathname === "/readyz") return json(response, { ready: true }, process.env.READY === "no" ? 503 : 200);
  if (url.pathname === "/env") return json(response, process.env);
  if (url.pathname === "/exit") process.exit(Number(url.searchParams.get("code") ?? 1));
  if (url.pathname === "/print") {
    process.stdout.write(url.searchParams.get("out") ?? "");
    process.stderr.write(url.searchParams.get("err") ?? "");
    return json(response, seen);
  }
  if (url.pathname === "/break") {
    response.writeHead(200, { "content-length": "100" });
    response.write("half");
    return setTimeout(() => response.destroy(), 20);
  }
  if (url.pathname === "/hop") {
    response.writeHead(200, { connection: "close, x-hop", "x-hop": "1", "x-kept": "1", "set-cookie": ["a=1", "b=2"] });
    return response.end("hop");
  }
  if (url.pathname === "/trailers") {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      response.writeHead(200, { trailer: "x-sum" });
      response.write(Buffer.concat(chunks));
      response.addTrailers({ "x-sum": request.trailers["x-given"] ?? "none" });
      response.end();
    });
    return;
  }
  if (url.pathname === "/events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`data: ${version}\n\n`);
    const timer = setInterval(() => response.write(`data: ${version}\n\n`), 100);
    response.on("close", () => {
      clearInterval(timer);
      console.log("event stream closed");
    });
    return;
  }
  let bytes = 0;
  request.on("data", (chunk) => (bytes += chunk.length));
  request.on("end", () => setTimeout(() => json(response, { ...seen, bytes }), Number(url.searchParams.get("ms") ?? 0)));
});
const sockets = new WebSocketServer({ server });
sockets.on("connection", (socket) => {
  socket.send(`hello from ${version}`);
  socket.on("message", (data) => socket.send(`${version}: ${data}`));
});
if (process.env.GRACEFUL === "yes") {
  process.on("SIGTERM", () => {
    for (const socket of sockets.clients) socket.close(1001, "going away");
    server.close(() => process.exit(7));
    server.closeAllConnections();
  });
}
server.listen(Number(process.env.LISTEN ?? process.env.PORT), process.env.LISTEN_HOST, () => console.log(`version ${version} listens`));
