// Serving: a stop by SIGTERM loses no request, and ends with exit code 0.
import { type ChildProcess, fork } from "node:child_process";
import { Agent, request } from "node:http";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { Hono } from "hono";
import { afterAll, expect, test } from "vitest";
import { serve } from "./serve.ts";

const children = new Set<ChildProcess>();
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
});

async function start(): Promise<{ child: ChildProcess; port: number; exit: Promise<number | null> }> {
  const child = fork(fileURLToPath(new URL("./server.fixture.ts", import.meta.url)), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    execArgv: [],
  });
  children.add(child);
  const exit = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const port = await new Promise<number>((resolve) => child.once("message", (message) => resolve(Number(message))));
  return { child, port, exit };
}

interface Answer {
  status: number;
  connection: string | undefined;
  body: string;
}

function send(port: number, path: string, agent: Agent | undefined, body = ""): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        port,
        path,
        agent,
        method: body === "" ? "GET" : "POST",
        headers: { "content-length": Buffer.byteLength(body) },
      },
      (incoming) => {
        let text = "";
        incoming.on("data", (chunk) => {
          text += chunk;
        });
        incoming.on("end", () =>
          resolve({ status: incoming.statusCode ?? 0, connection: incoming.headers.connection, body: text }),
        );
        incoming.on("error", reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

test("on SIGTERM requests in flight finish, others are still served and told to close, then it exits with 0", async () => {
  const { child, port, exit } = await start();
  const agent = new Agent({ keepAlive: true });
  expect((await send(port, "/readyz", agent)).connection).toBe("keep-alive");
  const inFlight = send(port, "/rpc/wait", agent, JSON.stringify({ ms: 700 }));
  const run = send(port, "/workflows/waiting/runs", agent, JSON.stringify({ ms: 700 }));
  await send(port, "/healthz", agent);
  child.kill("SIGTERM");
  for (;;) {
    const ready = await send(port, "/readyz", agent);
    if (ready.status === 200) continue;
    expect(ready).toMatchObject({ status: 503, connection: "close" });
    break;
  }
  // As a group that is ended sends it twice, itself and through `npm start`.
  child.kill("SIGTERM");
  expect(await send(port, "/healthz", agent)).toMatchObject({ status: 200, connection: "close" });
  expect(await inFlight).toMatchObject({ status: 200, connection: "close", body: '{"waited":true}' });
  expect(await run).toMatchObject({ status: 200, connection: "close" });
  expect(await exit).toBe(0);
});

test("kept-alive clients under load see no failed request when the app behind a switch is stopped", async () => {
  const [old, next] = [await start(), await start()];
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let target = old.port;
  let going = true;
  let served = 0;
  const failures: unknown[] = [];
  const client = async () => {
    while (going) {
      const port = target;
      await send(port, "/healthz", agent).then(
        () => served++,
        (error) => failures.push(error),
      );
    }
  };
  const clients = Array.from({ length: 8 }, client);
  while (served < 200) await new Promise((resolve) => setImmediate(resolve));
  // As a router does: switch, then stop the old one, whose connections are still kept.
  target = next.port;
  old.child.kill("SIGTERM");
  expect(await old.exit).toBe(0);
  const atExit = served;
  while (served < atExit + 200) await new Promise((resolve) => setImmediate(resolve));
  going = false;
  await Promise.all(clients);
  agent.destroy();
  expect(failures).toEqual([]);
});

test("a port that is taken is said with a fix", async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, resolve));
  const { port } = holder.address() as { port: number };
  await expect(serve(new Hono(), { port })).rejects.toMatchObject({ code: "port_taken" });
  await new Promise((resolve) => holder.close(resolve));
});

test("what is no port is said, and an empty PORT counts as none", async () => {
  const before = process.env.PORT;
  try {
    for (const text of ["http", "70000", "1.5"]) {
      process.env.PORT = text;
      await expect(serve(new Hono())).rejects.toMatchObject({ code: "invalid_config", path: "PORT" });
    }
    await expect(serve(new Hono(), { port: "pipe" as never })).rejects.toMatchObject({ path: "port" });
    // Another process may have that port.
    process.env.PORT = "";
    const outcome = await serve(new Hono()).then(
      async (server) => {
        await server.stop();
        return server.port;
      },
      (error: Error) => error.message,
    );
    expect([3000, "port 3000 is in use"]).toContain(outcome);
  } finally {
    if (before === undefined) delete process.env.PORT;
    else process.env.PORT = before;
  }
});

test("`stop` does what SIGTERM does without ending the process", async () => {
  const app = new Hono().get("/", (c) => c.text("ok"));
  const server = await serve(app, { port: 0, drainMs: 0 });
  expect((await send(server.port, "/", new Agent())).body).toBe("ok");
  await server.stop();
  await expect(send(server.port, "/", new Agent())).rejects.toThrow(/ECONNREFUSED/);
});
