// The HTTP face over real sockets: query coercion, limits, sessions, streams, and errors in one shape.
import { request as httpRequest } from "node:http";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { TsdevError } from "../../sdk/errors.ts";
import { type Operation, operation, streamOperation } from "../../sdk/operation.ts";
import { type ApiFixture, apiFixture, member } from "./api.fixture.ts";

const read = { role: "viewer", effect: "read", idempotent: true } as const;
const write = { role: "developer", effect: "write", idempotent: true } as const;
const Query = z.object({
  text: z.string().optional(),
  count: z.int().min(1).default(20),
  share: z.number().optional(),
  only: z.boolean().default(false),
  states: z.array(z.enum(["open", "closed"])).optional(),
});
let ended = 0;

const operations: Operation[] = [
  operation({
    name: "things.list",
    summary: "List things",
    input: Query,
    output: Query,
    access: read,
    handler: async (input) => input,
  }),
  operation({
    name: "things.add",
    summary: "Add a thing",
    input: z.object({ name: z.string() }),
    output: z.object({ length: z.int() }),
    access: write,
    handler: async ({ name }, { progress }) => {
      progress({ message: "half", fraction: 0.5 });
      if (name === "late") throw new TsdevError("conflict", { message: "too late", fix: "be earlier" });
      return { length: name.length };
    },
  }),
  streamOperation({
    name: "things.watch",
    summary: "Watch things until told to stop",
    input: z.object({ most: z.int().default(1_000_000), fail: z.boolean().default(false) }),
    output: z.object({ at: z.int() }),
    access: read,
    handler: async function* ({ most, fail }, { signal }) {
      try {
        for (let at = 0; at < most && !signal.aborted; at++) {
          yield { at };
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        if (fail) throw new Error("broke in the middle");
      } finally {
        ended++;
      }
    },
  }),
];

let api: ApiFixture;
let token: string;
beforeAll(async () => {
  api = await apiFixture(operations);
  token = (await member(api.db, "developer")).token;
});
afterAll(async () => {
  await api?.[Symbol.asyncDispose]();
});

interface Ask {
  headers?: Record<string, string>;
  body?: string | object;
  method?: string;
  signal?: AbortSignal;
}
const ask = (path: string, { headers = {}, body, method, signal }: Ask = {}) =>
  fetch(`${api.url}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: { authorization: `Bearer ${token}`, ...headers },
    ...(body === undefined ? {} : { body: isPlain(body) ? JSON.stringify(body) : body, duplex: "half" }),
    ...(signal ? { signal } : {}),
  } as RequestInit);
const isPlain = (body: unknown) => Object.getPrototypeOf(body) === Object.prototype;
async function events(response: Response) {
  const list: { event: string | undefined; data: unknown }[] = [];
  for await (const { event, data } of response
    .body!.pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream()))
    list.push({ event, data: JSON.parse(data) });
  return list;
}

describe("a query string", () => {
  test("becomes numbers, booleans and arrays as the contract wants them", async () => {
    const response = await ask("/things/list?text=7&count=3&share=0.5&only=true&states=%5B%22open%22%5D");
    expect(await response.json()).toEqual({ text: "7", count: 3, share: 0.5, only: true, states: ["open"] });
    expect(await (await ask("/things/list?states=open&states=closed")).json()).toMatchObject({
      states: ["open", "closed"],
    });
    expect(await (await ask("/things/list?states=open")).json()).toMatchObject({ states: ["open"], count: 20 });
  });

  test.each([
    ["count=many", "count"],
    ["count=0", "count"],
    ["count=1.5", "count"],
    ["only=maybe", "only"],
    ["states=gone", "states.0"],
  ])("with %s is refused and the path named", async (query, path) => {
    const response = await ask(`/things/list?${query}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: "invalid_input", path } });
  });
});

describe("errors have one shape", () => {
  test("for a path that is none, a body that is no JSON, a token that is none", async () => {
    expect(await (await ask("/nothing/here")).json()).toMatchObject({ error: { code: "not_found" } });
    expect(await (await ask("/things/add", { body: "{" })).json()).toMatchObject({ error: { code: "invalid_input" } });
    const unknown = await ask("/things/list", { headers: { authorization: "Bearer tsd_no" } });
    expect(unknown.status).toBe(401);
    expect(unknown.headers.get("www-authenticate")).toContain("Bearer");
    expect(await unknown.json()).toMatchObject({ error: { code: "unauthenticated", fix: expect.any(String) } });
  });

  test("for a token as browsers send it by themselves", async () => {
    const basic = `Basic ${Buffer.from(`x:${token}`).toString("base64")}`;
    expect((await ask("/things/list", { headers: { authorization: basic } })).status).toBe(401);
  });
});

describe("a body of more than 1 MiB is refused", () => {
  test("by its length, counted in bytes", async () => {
    const response = await ask("/things/add", { body: { name: "é".repeat(600_000) } });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: "payload_too_large" } });
    expect(await (await ask("/things/add", { body: { name: "é".repeat(400_000) } })).json()).toEqual({
      length: 400_000,
    });
  });

  test("without a length while it is read, and an endless one is not read on", async () => {
    const most = 400;
    let sent = 0;
    const status = await new Promise((resolve) => {
      const headers = { authorization: `Bearer ${token}`, "transfer-encoding": "chunked" };
      const request = httpRequest(`${api.url}/things/add`, { method: "POST", headers }, (response) =>
        resolve(response.statusCode),
      );
      request.on("error", () => resolve("cut off"));
      const chunk = Buffer.alloc(64 * 1024, 0x20);
      const more = () => {
        if (sent++ < most && !request.destroyed) request.write(chunk, () => setImmediate(more));
      };
      more();
    });
    expect([413, "cut off"]).toContain(status);
    expect(sent).toBeLessThan(most);
    expect((await ask("/things/list")).status).toBe(200);
  });
});

describe("a session by cookie", () => {
  async function cookie(): Promise<string> {
    const { principal } = await member(api.db, "developer");
    const code = await api.identity.createLoginCode(principal);
    const response = await ask("/sessions", { body: { code } });
    expect(response.status).toBe(200);
    const set = response.headers.get("set-cookie") ?? "";
    expect(set).toMatch(/HttpOnly/);
    expect(set).toMatch(/SameSite=Strict/);
    return set.split(";")[0] ?? "";
  }
  const byCookie = async (headers: Record<string, string>, body?: object) =>
    fetch(`${api.url}/things/${body ? "add" : "list"}`, {
      method: body ? "POST" : "GET",
      headers: { cookie: await cookie(), ...headers },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });

  test("reads, and writes from our own pages alone", async () => {
    expect((await byCookie({})).status).toBe(200);
    expect((await byCookie({ "sec-fetch-site": "same-origin" }, { name: "a" })).status).toBe(200);
    for (const site of ["same-site", "cross-site", "none"])
      expect((await byCookie({ "sec-fetch-site": site }, { name: "a" })).status).toBe(403);
    expect((await byCookie({}, { name: "a" })).status).toBe(403);
    expect((await byCookie({ authorization: "nonsense" }, { name: "a" })).status).toBe(403);
    expect((await byCookie({ origin: "http://evil.test" }, { name: "a" })).status).toBe(403);
    expect((await byCookie({ origin: api.url }, { name: "a" })).status).toBe(200);
  });

  test("is not given for a code that is missing or wrong", async () => {
    expect((await ask("/sessions", { body: {} })).status).toBe(400);
    expect((await ask("/sessions", { body: { code: "once_wrong" } })).status).toBe(401);
  });
});

describe("a stream", () => {
  test("sends values, then its end", async () => {
    expect(await events(await ask("/things/watch?most=2"))).toEqual([
      { event: "value", data: { at: 0 } },
      { event: "value", data: { at: 1 } },
      { event: "end", data: {} },
    ]);
  });

  test("that fails after the head is sent ends with the error, and the platform goes on", async () => {
    const quiet = vi.spyOn(console, "error").mockImplementation(() => {});
    const list = await events(await ask("/things/watch?most=1&fail=true"));
    expect(list.at(-1)).toMatchObject({ event: "error", data: { error: { code: "internal" } } });
    expect(quiet).toHaveBeenCalled();
    quiet.mockRestore();
    expect((await ask("/things/list")).status).toBe(200);
  });

  test("that is refused is refused by its status", async () => {
    expect((await ask("/things/watch?most=x")).status).toBe(400);
    expect((await ask("/things/watch", { headers: { authorization: "Bearer no" } })).status).toBe(401);
  });

  test("ends where it is made when the reader goes away", async () => {
    const before = ended;
    const abort = new AbortController();
    const response = await ask("/things/watch", { signal: abort.signal });
    await response.body!.getReader().read();
    abort.abort();
    await vi.waitFor(() => expect(ended).toBe(before + 1), { timeout: 5000 });
  });
});

test("a call asked for as a stream tells its progress, then the result or the error", async () => {
  const headers = { accept: "text/event-stream" };
  expect(await events(await ask("/things/add", { headers, body: { name: "abc" } }))).toEqual([
    { event: "progress", data: { message: "half", fraction: 0.5 } },
    { event: "result", data: { length: 3 } },
    { event: "end", data: {} },
  ]);
  const late = await events(await ask("/things/add", { headers, body: { name: "late" } }));
  expect(late.at(-1)).toEqual({
    event: "error",
    data: { error: { code: "conflict", message: "too late", fix: "be earlier" } },
  });
});
