// What the router measured of requests: by group and status, with few attributes, over many paths and odd methods.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inheritedEnvironment } from "../inherited-environment.ts";
import { ask, eventually } from "../runtime.contract.ts";
import { openRouter, type Router } from "./open-router.ts";
import type { GroupRequests } from "./request-metrics.ts";
import { emptyTable } from "./table.ts";

let directory: string;
let router: Router;
let app: Server;
let url: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tsdev-requests-"));
  app = createServer((asked, response) => {
    if (asked.url === "/resets") asked.socket.destroy();
    else if (asked.url === "/fails") response.writeHead(503).end("no");
    else if (asked.url === "/stream")
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    else if (asked.url === "/breaks") {
      response.writeHead(200, { "content-length": "100" });
      response.write("a", () => response.destroy());
    } else if (asked.url !== "/waits") response.end("yes");
  });
  await new Promise<void>((done) => app.listen(0, "127.0.0.1", done));
  const { port } = app.address() as AddressInfo;
  router = await openRouter({
    ...{ directory, wantedPort: 0, host: "127.0.0.1", nodePath: process.execPath },
    ...{ env: inheritedEnvironment(process.execPath), log: () => {} },
  });
  url = `http://127.0.0.1:${router.port}`;
  const targets = [{ id: "i1", host: "127.0.0.1", port }];
  await router.set({
    ...emptyTable,
    hosts: { "app.localhost": "dep_1" },
    groups: { dep_1: { expected: 1, targets } },
  });
});
afterAll(async () => {
  app.closeAllConnections();
  app.close();
  await router.quit();
  rmSync(directory, { recursive: true, force: true });
});

async function counted(group: string): Promise<GroupRequests["points"]> {
  return (await router.requests()).groups.find((one) => one.group === group)?.points ?? [];
}
async function count(group: string, attributes: object): Promise<number> {
  const wanted = Object.entries(attributes);
  return (await counted(group))
    .filter((point) => wanted.every(([key, value]) => point.attributes[key] === value))
    .reduce((sum, { histogram }) => sum + histogram.count, 0);
}

test("requests count for the deployment they went to, by status; a thousand paths are one series", async () => {
  for (let path = 0; path < 30; path++) await ask(url, "app.localhost", `/${path}`);
  await ask(url, "app.localhost", "/fails");
  await ask(url, "nobody.localhost", "/");
  await eventually("it is counted", async () => (await count("dep_1", {})) === 31);
  const points = await counted("dep_1");
  expect(points).toHaveLength(2);
  const [fine, failed] = points;
  expect(fine!.attributes).toEqual({
    "http.request.method": "GET",
    "http.response.status_code": 200,
    "network.protocol.version": "1.1",
    "url.scheme": "http",
  });
  expect(fine!.histogram.count).toBe(30);
  expect(fine!.histogram.buckets.reduce((a, b) => a + b)).toBe(30);
  expect(fine!.histogram.sum).toBeGreaterThan(0);
  expect(fine!.histogram.sum).toBeLessThan(30);
  expect(failed!.attributes).toMatchObject({ "http.response.status_code": 503, "error.type": "503" });
  expect(await count("nowhere", { "http.response.status_code": 404 })).toBe(1);
});

test("an invented method is counted as another one", async () => {
  await new Promise<void>((done) => {
    const socket = connect(router.port, "127.0.0.1", () => {
      socket.write("PROPFIND / HTTP/1.1\r\nHost: app.localhost\r\nConnection: close\r\n\r\n");
    });
    socket.resume().once("close", () => done());
  });
  await eventually("it is counted", async () => (await count("dep_1", { "http.request.method": "_OTHER" })) === 1);
  expect(await count("dep_1", { "http.request.method": "PROPFIND" })).toBe(0);
});

test("a broken answer is an error, and so is a client that leaves before one; leaving a stream of events is none", async () => {
  const ended = (path: string, leave: boolean) =>
    new Promise<void>((done) => {
      const asked = request(`${url}${path}`, { headers: { host: "app.localhost" } });
      asked.once("error", () => done());
      asked.once("response", (response) => {
        response.once("data", () => leave && asked.destroy());
        response.once("error", () => done()).once("close", done);
      });
      asked.end();
      if (path === "/waits") app.once("request", () => asked.destroy());
    });
  const before = await count("dep_1", { "http.response.status_code": 200 });
  await ended("/breaks", false);
  await eventually("it is counted", async () => (await count("dep_1", { "error.type": "aborted" })) === 1);
  await ended("/stream", true);
  await eventually(
    "it is counted",
    async () => (await count("dep_1", { "http.response.status_code": 200 })) === before + 2,
  );
  expect(await count("dep_1", { "error.type": "aborted" })).toBe(1);
  await ended("/waits", true);
  await eventually("it is counted", async () => (await count("dep_1", { "error.type": "aborted" })) === 2);
  expect((await counted("dep_1")).some(({ attributes }) => !("http.response.status_code" in attributes))).toBe(true);
  const answered = await ask(url, "app.localhost", "/resets", { method: "POST", body: "x" });
  expect(answered.status).toBe(502);
  await eventually("it is counted", async () => (await count("dep_1", { "error.type": "502" })) === 1);
});
