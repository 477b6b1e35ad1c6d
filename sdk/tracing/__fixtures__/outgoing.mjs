// App: reaches out in many ways and draws randomness; run by the replay tests.
import crypto, { randomBytes, randomUUID } from "node:crypto";
import { createServer, get, request as httpRequest, Agent } from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import pg from "pg";

const read = async (stream) => {
  let text = "";
  for await (const chunk of stream) text += chunk;
  return text;
};
const byNode = (make, body) =>
  new Promise((done, failed) => {
    const sent = make(async (answer) => done({ status: answer.statusCode, ...JSON.parse(await read(answer)) }));
    sent.on("error", failed);
    sent.end(body);
  });
const byFetch = async (url, init) => {
  const answer = await fetch(url, init);
  return { status: answer.status, ...(await answer.json()) };
};
const connect = (socket) =>
  new Promise((done, failed) => {
    socket.on("connect", () => done("connected"));
    socket.on("error", failed);
  });

const ways = {
  fetch: () => byFetch("https://api.example/v1/charges?b=2", { method: "POST", body: '{"a":1}', headers: { "content-type": "application/json", "x-own": "1" } }),
  request: () => byNode((cb) => httpRequest("http://api.example:8080/v1/x", { method: "PUT", headers: { "x-own": "1" } }, cb), "body"),
  options: () => byNode((cb) => https.request({ hostname: "api.example", path: "/v1/y?q=1", method: "POST", auth: "u:p" }, cb), "body"),
  get: () => byNode((cb) => get(new URL("http://api.example/v1/z"), { agent: new Agent() }, cb)),
  https: () => byNode((cb) => https.get("https://api.example/", cb)),
  "fetch-error": () => byFetch("https://api.example/reset"),
  "request-error": () => byNode((cb) => https.get("https://api.example/reset", cb)),
  net: () => connect(net.connect(6379, "10.1.2.3")),
  tls: () => connect(tls.connect({ host: "10.1.2.3", port: 5671 })),
  path: () => connect(net.connect("/tmp/some.sock")),
  pg: async () => {
    const client = new pg.Client({ host: "10.1.2.3", port: 5432 });
    client.on("error", () => {});
    await client.connect();
  },
  allowed: () => connect(net.connect(Number(process.env.ALLOWED_PORT), "localhost")).then((text) => ({ text })),
  random: async () => {
    const values = {
      math: [Math.random(), Math.random()],
      uuid: [randomUUID(), crypto.randomUUID(), globalThis.crypto.randomUUID()],
      bytes: randomBytes(8).toString("hex"),
      values: [...globalThis.crypto.getRandomValues(new Uint8Array(4))],
      int: crypto.randomInt(1000),
      now: Date.now(),
      date: new Date().toISOString(),
      isDate: new Date() instanceof Date,
      fixed: new Date(0).getTime(),
    };
    await new Promise((done) => setTimeout(done, 5));
    values.later = Math.random();
    const end = Date.now() + 3;
    while (Date.now() < end);
    values.end = Date.now();
    return values;
  },
};

const outside = { start: Date.now(), random: Math.random() };
const server = createServer(async (request, response) => {
  const way = request.url.slice(1);
  const answer = (value) => response.end(JSON.stringify(value));
  if (way === "outside") return answer(outside);
  try {
    answer(await ways[way]());
  } catch (error) {
    answer({ code: error.cause?.code ?? error.code, message: error.message });
  }
});
server.listen(process.env.PORT, () => console.log(`listening on ${server.address().port}`));
