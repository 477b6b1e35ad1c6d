// Copies of telemetry: as they came, again after a refusal that may pass, never in the way, and never to a metadata service.
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ForwardTarget } from "../telemetry-settings.ts";
import { Forwarder, type ForwardStatus } from "./forwarder.ts";
import { AddressRefused, guardedLookup } from "./guarded-lookup.ts";

const tenant = { organizationId: "org_1", project: "shop", environment: "production" };
const other = { ...tenant, organizationId: "org_2" };

let server: Server;
let url: string;
let requests: { url: string; headers: IncomingHttpHeaders; body: Buffer; at: number }[];
let answer: (count: number) => { status: number; headers?: Record<string, string> };
const logged: string[] = [];
let forwarder: Forwarder | undefined;

beforeEach(async () => {
  requests = [];
  logged.length = 0;
  answer = () => ({ status: 200 });
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      requests.push({ url: request.url ?? "", headers: request.headers, body, at: performance.now() });
      const { status, headers } = answer(requests.length);
      response.writeHead(status, headers).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  forwarder?.close();
  server.closeAllConnections();
  server.close();
});

function forwardTo(targets: Partial<ForwardTarget>[], variables: Record<string, string> = {}): Forwarder {
  forwarder = new Forwarder({
    targetsOf: async (asked) =>
      asked.organizationId === "org_1"
        ? targets.map((target) => ({ endpoint: url, headers: {}, signals: ["traces", "logs", "metrics"], ...target }))
        : [],
    variablesOf: async () => new Map(Object.entries(variables)),
    log: (message) => logged.push(message),
    pauseDivisor: 500,
  });
  return forwarder;
}

async function settled(of: Forwarder, ready: (status: ForwardStatus) => boolean): Promise<ForwardStatus> {
  const end = performance.now() + 15_000;
  for (;;) {
    const status = of.status(tenant)[0];
    if (status && ready(status)) return status;
    if (performance.now() > end) throw new Error(`not settled: ${JSON.stringify(status)}`);
    await new Promise((done) => setImmediate(done));
  }
}

test("bodies arrive byte for byte, at the path of their signal, with the environment's secrets in the headers", async () => {
  const copies = forwardTo([{ endpoint: `${url}/otlp/`, headers: { authorization: `Bearer \${secrets.KEY}` } }], {
    KEY: "s3cret-value",
  });
  const body = Buffer.from([10, 0, 255, 1]);
  copies.take("traces", body, "protobuf", tenant);
  await settled(copies, ({ sent }) => sent === 1);
  copies.take("logs", Buffer.from("{}"), "json", tenant);
  await settled(copies, ({ sent }) => sent === 2);
  expect(requests[0]).toMatchObject({ url: "/otlp/v1/traces", body });
  expect(requests[0]?.headers).toMatchObject({
    authorization: "Bearer s3cret-value",
    "content-type": "application/x-protobuf",
  });
  expect(requests[1]).toMatchObject({ url: "/otlp/v1/logs", body: Buffer.from("{}") });
  expect(requests[1]?.headers["content-type"]).toBe("application/json");
  expect(JSON.stringify(copies.status(tenant))).not.toContain("s3cret");
});

test("only the signals that were asked for are copied, and nothing of another tenant", async () => {
  const copies = forwardTo([{ signals: ["metrics"] }]);
  copies.take("traces", Buffer.from("a"), "json", tenant);
  copies.take("metrics", Buffer.from("b"), "json", other);
  copies.take("metrics", Buffer.from("c"), "json", tenant);
  await settled(copies, ({ sent }) => sent === 1);
  expect(requests.map(({ body }) => body.toString())).toEqual(["c"]);
  expect(copies.status(other)).toEqual([]);
});

test("a receiver that is busy gets the same again, and not before it said", async () => {
  answer = (count) => (count === 1 ? { status: 503, headers: { "retry-after": "1" } } : { status: 200 });
  const copies = forwardTo([{}]);
  copies.take("traces", Buffer.from("again"), "protobuf", tenant);
  const status = await settled(copies, ({ sent }) => sent === 1);
  expect(status).toMatchObject({ dropped: 0, waiting: 0, waitingBytes: 0, lastError: "" });
  expect(requests.map(({ body }) => body.toString())).toEqual(["again", "again"]);
  expect(requests[1]!.at - requests[0]!.at).toBeGreaterThan(900);
});

test("what a receiver refuses for good is sent once, counted and told once", async () => {
  answer = () => ({ status: 400 });
  const copies = forwardTo([{}]);
  copies.take("traces", Buffer.from("a"), "protobuf", tenant);
  copies.take("traces", Buffer.from("b"), "protobuf", tenant);
  const status = await settled(copies, ({ dropped }) => dropped === 2);
  expect(status.lastError).toContain("answered 400");
  expect(requests).toHaveLength(2);
  expect(logged).toHaveLength(1);
});

test("a receiver that never answers holds 16 MiB at most; the rest is counted as dropped", async () => {
  server.removeAllListeners("request");
  const copies = forwardTo([{}]);
  const body = Buffer.alloc(2 ** 20);
  for (let count = 0; count < 20; count++) copies.take("traces", body, "protobuf", tenant);
  const status = await settled(copies, ({ dropped }) => dropped === 4);
  expect(status).toMatchObject({ waiting: 16, waitingBytes: 16 * 2 ** 20 });
  expect(copies.total()).toMatchObject({ dropped: 4, waiting: 16 });
});

test.each([
  ["http://169.254.169.254"],
  ["http://[fe80::1]"],
  ["http://[::ffff:169.254.169.254]"],
  ["http://[fd00:ec2::254]"],
  ["http://2852039166"],
])("%s is refused, with no try again", async (endpoint) => {
  const copies = forwardTo([{ endpoint }]);
  copies.take("traces", Buffer.from("a"), "protobuf", tenant);
  const status = await settled(copies, ({ dropped }) => dropped === 1);
  expect(status.lastError).toContain("TSDEV_FORWARD_LINK_LOCAL");
});

test("a header that names no variable of the environment is told by that name, and nothing is sent", async () => {
  const copies = forwardTo([{ headers: { "x-key": `\${secrets.GONE}` } }]);
  copies.take("traces", Buffer.from("a"), "protobuf", tenant);
  const status = await settled(copies, ({ dropped }) => dropped === 1);
  expect(status.lastError).toContain("GONE");
  expect(requests).toEqual([]);
});

test("a name that resolves to such an address is refused before anything is connected to", async () => {
  const resolve = (host: string) =>
    new Promise((done) => guardedLookup(host, { all: true }, (error, found) => done(error ?? found)));
  expect(await resolve("169.254.169.254")).toBeInstanceOf(AddressRefused);
  expect(await resolve("127.0.0.1")).toMatchObject([{ address: "127.0.0.1" }]);
});

test("a redirect is not followed", async () => {
  answer = () => ({ status: 307, headers: { location: `${url}/elsewhere` } });
  const copies = forwardTo([{}]);
  copies.take("traces", Buffer.from("a"), "protobuf", tenant);
  await settled(copies, ({ dropped }) => dropped === 1);
  expect(requests).toHaveLength(1);
});
