// The router over real sockets: what it passes on, what it strips, and what it answers when there is nobody to ask.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { inheritedEnvironment } from "../inherited-environment.ts";
import { ask, eventually } from "../runtime.contract.ts";
import { openRouter, type Router } from "./open-router.ts";
import { emptyTable, hostName, type RoutingTable, route } from "./table.ts";

const host = "app.localhost";
let directory: string;
let router: Router;
let app: ChildProcess;
let port: number;
let url: string;

const openOn = (folder: string) =>
  openRouter({
    ...{ directory: folder, wantedPort: 0, host: "127.0.0.1", nodePath: process.execPath },
    ...{ env: inheritedEnvironment(process.execPath), log: () => {} },
  });
const tableFor = (targets: number[], changes: Partial<RoutingTable> = {}): RoutingTable => ({
  ...emptyTable,
  hosts: { [host]: "app" },
  groups: {
    app: {
      expected: targets.length,
      targets: targets.map((target) => ({ id: `i${target}`, host: "127.0.0.1", port: target })),
    },
  },
  ...changes,
});
const listen = (server: { listen(port: number, host: string, done: () => void): unknown; address(): unknown }) =>
  new Promise<number>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)),
  );
async function freePort(): Promise<number> {
  const server = createTcpServer();
  const found = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return found;
}
/** Sends bytes as they are and reads until the router closes or `until` has come. */
function raw(text: string, until?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(router.port, "127.0.0.1", () => socket.write(text));
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString("latin1");
      if (until !== undefined && answer.includes(until)) socket.destroy();
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "tsdev-router-"));
  port = await freePort();
  const fixture = fileURLToPath(new URL("../__fixtures__/web.mjs", import.meta.url));
  app = spawn(process.execPath, [fixture], {
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  await new Promise((resolve) => app.stdout!.once("data", resolve));
  router = await openOn(directory);
  url = `http://127.0.0.1:${router.port}`;
  await router.set(tableFor([port]));
});
afterAll(async () => {
  app.kill("SIGKILL");
  await router.quit();
  rmSync(directory, { recursive: true, force: true });
});

describe("routes", () => {
  const table = tableFor([1]);
  it.each([
    ["app.localhost", { to: "group", group: "app" }],
    ["APP.localhost:3200", { to: "group", group: "app" }],
    ["app.localhost.", { to: "group", group: "app" }],
    ["other.localhost", { to: "nowhere", host: "other.localhost" }],
    ["localhost:3200", { to: "control-plane" }],
    ["127.0.0.1:3200", { to: "control-plane" }],
    ["[::1]:3200", { to: "control-plane" }],
    ["constructor", { to: "control-plane" }],
    [undefined, { to: "control-plane" }],
  ])("%s", (header, expected) => {
    expect(route(table, header)).toEqual(expected);
  });
  it("takes the port off a host", () => expect(hostName("a.b:80")).toBe("a.b"));
});

describe("what the instance sees", () => {
  it("the client's address instead of one that the client claims", async () => {
    const claimed = {
      "X-Forwarded-For": "6.6.6.6",
      "X-Real-IP": "6.6.6.6",
      Forwarded: "for=6.6.6.6",
      "X-Forwarded-Proto": "https",
    };
    const { headers } = JSON.parse((await ask(url, host, "/", { headers: claimed })).body);
    expect(JSON.stringify(headers)).not.toContain("6.6.6.6");
    expect(headers).toMatchObject({ "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", host });
  });

  it("no hop-by-hop header, nor one that Connection names", async () => {
    const sent = { Connection: "close, X-Secret", "X-Secret": "1", "Proxy-Authorization": "Basic x", "X-Kept": "2" };
    const { headers } = JSON.parse((await ask(url, host, "/", { headers: sent })).body);
    expect(headers["x-secret"]).toBeUndefined();
    expect(headers["proxy-authorization"]).toBeUndefined();
    expect(headers["x-kept"]).toBe("2");
  });

  it("no chunked body for a POST without one, and whole bodies of either framing", async () => {
    const empty = JSON.parse((await ask(url, host, "/", { method: "POST" })).body);
    expect(empty.headers).toMatchObject({ "content-length": "0" });
    const chunked = await raw(
      `POST / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    );
    expect(chunked).toContain('"bytes":5');
    const deleted = JSON.parse(
      (await ask(url, host, "/", { method: "DELETE", body: "gone", headers: { "Content-Length": "4" } })).body,
    );
    expect(deleted.bytes).toBe(4);
  });
});

describe("what the client sees", () => {
  it("end-to-end headers as they were, repeats too, and no hop-by-hop one", async () => {
    const { headers } = await ask(url, host, "/hop");
    expect(headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(headers["x-kept"]).toBe("1");
    expect(headers["x-hop"]).toBeUndefined();
  });

  it("trailers, both ways", async () => {
    const answer = await raw(
      `POST /trailers HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nTE: trailers\r\nTrailer: x-given\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-given: 42\r\n\r\n`,
    );
    expect(answer).toMatch(/x-sum: 42/i);
  });

  it("a reset, not a whole answer, when the instance breaks off in the middle", async () => {
    await expect(ask(url, host, "/break")).rejects.toThrow(/aborted|hang up|reset/i);
  });

  it("an answer at once from an event stream, and its own leaving reaches the instance", async () => {
    let log = "";
    app.stdout!.on("data", (chunk) => (log += chunk));
    const first = await new Promise<string>((resolve, reject) => {
      const asked = request(
        { port: router.port, host: "127.0.0.1", path: "/events", headers: { host } },
        (response) => {
          response.once("data", (chunk) => {
            resolve(String(chunk));
            asked.destroy();
          });
          response.on("error", () => {});
        },
      );
      asked.on("error", reject);
      asked.end();
    });
    expect(first).toContain("data: 1");
    await eventually("the instance noticed", () => log.includes("event stream closed"));
  });

  it("a WebSocket, with what the instance says first", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${router.port}/`, { headers: { host } });
    const heard: string[] = [];
    socket.on("message", (data) => heard.push(String(data)));
    await new Promise((resolve) => socket.once("open", resolve));
    socket.send("x".repeat(100_000));
    await eventually("both came", () => heard.length === 2);
    expect(heard[0]).toBe("hello from 1");
    expect(heard[1]!.length).toBe(100_003);
    expect((await router.stats()).upstreams[0]).toMatchObject({ inFlight: 0, long: 1 });
    socket.close();
    await eventually("it is let go", async () => (await router.stats()).upstreams[0]?.long === 0);
  });

  it("an ordinary answer to an offer of another protocol", async () => {
    const answer = await raw(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 200/);
  });

  it("the instance's own refusal of headers that only the instance finds too large", async () => {
    expect((await ask(url, host, "/", { headers: { cookie: "c".repeat(40_000) } })).status).toBe(431);
  });
});

describe("when nobody is there", () => {
  it("an unknown app is not found, and what exists is not told", async () => {
    const answer = await ask(url, "other.localhost");
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body).error).toMatchObject({ code: "not_found" });
    expect(answer.body).not.toContain(host);
  });

  it("a control plane that is away is a 503 to ask again soon, as a page for browsers", async () => {
    await router.set(tableFor([port], { controlPlane: { host: "127.0.0.1", port: await freePort() } }));
    const answer = await ask(url, "localhost");
    expect(answer.status).toBe(503);
    expect(answer.headers["retry-after"]).toBe("1");
    expect(JSON.parse(answer.body).error).toMatchObject({
      code: "unavailable",
      message: "the control plane is starting, apps keep serving",
    });
    const page = await ask(url, "localhost", "/", { headers: { accept: "text/html" } });
    expect(page.headers["content-type"]).toContain("text/html");
    expect(page.body).toContain("the control plane is starting");
  });

  it("a control plane that is there gets what no app has", async () => {
    const controlPlane: Server = createServer((_request, response) => response.end("control plane"));
    const at = await listen(controlPlane);
    await router.set(tableFor([port], { controlPlane: { host: "127.0.0.1", port: at } }));
    expect((await ask(url, "127.0.0.1")).body).toBe("control plane");
    controlPlane.closeAllConnections();
    controlPlane.close();
    await router.set(tableFor([port]));
  });

  it("a refused POST goes whole to another instance", async () => {
    await router.set(tableFor([await freePort(), port]));
    for (let i = 0; i < 6; i++) {
      const answer = await ask(url, host, "/", { method: "POST", body: "whole body" });
      expect(JSON.parse(answer.body).bytes).toBe(10);
    }
    await router.set(tableFor([port]));
  });

  it("a group with no instance is a 503 after the hold, not an endless wait", async () => {
    await router.set({ ...tableFor([]), groups: { app: { expected: 1, targets: [] } } });
    const answer = await ask(url, host);
    expect(answer.status).toBe(503);
    await router.set(tableFor([port]));
  });
});

describe("an instance that breaks a connection off before it answers", () => {
  const breaking = async () => {
    let asked = 0;
    const server = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => {
        asked++;
        socket.resetAndDestroy();
      });
    });
    const at = await listen(server);
    return { at, asked: () => asked, close: () => void server.close() };
  };

  it("costs a GET nothing while another instance stands by", async () => {
    const broken = await breaking();
    await router.set(tableFor([broken.at, port]));
    for (let i = 0; i < 4; i++) expect((await ask(url, host)).status).toBe(200);
    expect(broken.asked()).toBe(1);
    broken.close();
    await router.set(tableFor([port]));
  });

  it("is asked a POST once, which may have been carried out", async () => {
    const [one, two] = [await breaking(), await breaking()];
    await router.set(tableFor([one.at, two.at]));
    expect((await ask(url, host, "/", { method: "POST", body: "x" })).status).toBe(502);
    expect(one.asked() + two.asked()).toBe(1);
    for (const { close } of [one, two]) close();
    await router.set(tableFor([port]));
  });

  it("does not let a GET that kills what it reaches go through all of them", async () => {
    const all = [await breaking(), await breaking(), await breaking()];
    await router.set(tableFor(all.map(({ at }) => at)));
    expect((await ask(url, host)).status).toBe(502);
    expect(all.reduce((sum, { asked }) => sum + asked(), 0)).toBe(2);
    for (const { close } of all) close();
    await router.set(tableFor([port]));
  });
});

describe("a connection that the instance closes just as it is used", () => {
  it("is replaced for a GET, and the request is not lost", async () => {
    // Announces nothing and closes each connection 5 ms after its answer: the router's pool cannot know.
    const rude = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        setTimeout(() => socket.destroy(), 5);
      });
    });
    const at = await listen(rude);
    await router.set(tableFor([at]));
    for (let i = 0; i < 150; i++) {
      expect((await ask(url, host)).body).toBe("ok");
      await new Promise((resolve) => setTimeout(resolve, 3 + (i % 4)));
    }
    rude.close();
    await router.set(tableFor([port]));
  });
});

describe("its own end and beginning", () => {
  it("the next one has the table and the port, with nobody telling it", async () => {
    const other = mkdtempSync(join(tmpdir(), "tsdev-router-"));
    const first = await openOn(other);
    const kept = first.port;
    await first.set(tableFor([port]));
    await first.quit();
    const second = await openOn(other);
    expect(second.port).toBe(kept);
    expect(await second.table()).toEqual(tableFor([port]));
    expect((await ask(`http://127.0.0.1:${kept}`, host)).status).toBe(200);
    await second.quit();
    rmSync(other, { recursive: true, force: true });
  });

  it("whoever lets go and comes back finds the same process", async () => {
    const { pid } = await router.stats();
    const again = await openOn(directory);
    expect((await again.stats()).pid).toBe(pid);
    again.close();
  });
});
