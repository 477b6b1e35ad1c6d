// tsdev dev: an edit is live, and what is in flight goes on, whatever the edit breaks.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { DevelopedApp } from "../dev/dev.fixture.ts";

let app: DevelopedApp;
afterEach(() => app?.end());

const server = `import { createServer } from "node:http";
import { answer } from "./answer.ts";
createServer((request, response) => void answer(request.url, response)).listen(process.env.PORT);
`;
const answers = (text: string) =>
  `import type { ServerResponse } from "node:http";
export const answer = (_path: string | undefined, response: ServerResponse) => response.end("${text}");\n`;

async function start(files: Record<string, string> = {}): Promise<DevelopedApp> {
  app = await DevelopedApp.start({ "src/main.ts": server, "src/answer.ts": answers("v0"), ...files });
  return app;
}

/** Ends a process as a crash would, and waits until the system has no such process, or only its remains. */
async function gone(pid: number): Promise<void> {
  await expect.poll(() => stateOf(pid)).toMatch(/^[ZX]?$/);
}
function stateOf(pid: number): string {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}

test("requests are answered without a gap while edit follows edit, each by whole code", async () => {
  await start();
  let over = false;
  const seen = new Set<string>();
  const asking = (async () => {
    while (!over) seen.add((await app.get()).text);
  })();
  for (let edit = 1; edit <= 20; edit++) {
    expect(await app.edit("src/answer.ts", answers(`v${edit}`))).toMatchObject({ kind: "live" });
    expect((await app.get()).text).toBe(`v${edit}`);
  }
  over = true;
  await asking;
  expect([...seen].every((text) => /^v\d+$/.test(text))).toBe(true);
});

test("a request in flight ends on the code that it began with", async () => {
  const slow = (text: string) => `import { setTimeout as sleep } from "node:timers/promises";
import type { ServerResponse } from "node:http";
import { word } from "./word.ts";
let release = () => {};
const held = new Promise<void>((resolve) => { release = resolve; });
export async function answer(path: string | undefined, response: ServerResponse) {
  if (path === "/release") { globalThis.releases?.forEach((one) => one()); return response.end("ok"); }
  if (path === "/slow") { response.write("begun "); (globalThis.releases ??= []).push(release); await held; }
  response.end("${text} " + word);
}
declare global { var releases: (() => void)[] | undefined }
`;
  await start({ "src/answer.ts": slow("old"), "src/word.ts": 'export const word = "one";' });
  const response = await fetch(`${app.url}/slow`);
  const reader = response.body!.getReader();
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("begun ");
  await app.edit("src/word.ts", 'export const word = "two";');
  expect((await app.get()).text).toBe("old two");
  await app.get("/release");
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("old one");
});

test("a run in memory goes on over an edit, and takes the newer code for what it has not begun", async () => {
  const steps = (text: string) => `import { z } from "zod";
import { procedure } from "../../../sdk/index.ts";
import { gate } from "./gate.ts";
export const first = procedure({ name: "first", input: z.object({}), output: z.object({ one: z.string() }),
  handler: async () => { await gate.open; return { one: "${text}" }; } });
export const second = procedure({ name: "second", input: z.object({ one: z.string() }), output: z.object({ two: z.string() }),
  handler: ({ one }) => ({ two: one + " ${text}" }) });
`;
  await start({
    "src/main.ts": `import { openEngine, workflow } from "../../../sdk/index.ts";
import { createApp, serve } from "../../../sdk/http/index.ts";
import { z } from "zod";
import { gate } from "./gate.ts";
import { first, second } from "./steps.ts";
export const both = workflow("both").input(z.object({})).step(first).step(second);
const engine = await openEngine();
const app = createApp({ workflows: [both], engine });
app.post("/open", (c) => { gate.release(); return c.text("ok"); });
app.get("/begin", async (c) => c.json(await engine.start(both, {}, { runId: "r1" })));
app.get("/run", async (c) => c.json((await engine.run("r1")) ?? null));
await serve(app, { engine, drainMs: 0 });
`,
    "src/gate.ts":
      "let release = () => {};\nconst open = new Promise<void>((resolve) => { release = resolve; });\nexport const gate = { open, release: () => release() };",
    "src/steps.ts": steps("old"),
  });
  await app.get("/begin");
  await app.edit("src/steps.ts", steps("new"));
  await fetch(`${app.url}/open`, { method: "POST" });
  await expect.poll(async () => JSON.parse((await app.get("/run")).text).state).toBe("done");
  expect(JSON.parse((await app.get("/run")).text).output).toMatchObject({ one: "old", two: "old new" });
});

test("a procedure that is found by discovery is live after an edit, and so is a file that comes into being", async () => {
  const one = (name: string, text: string) => `import { z } from "zod";
import { procedure } from "../../../../sdk/index.ts";
export const ${name} = procedure({ name: "${name}", input: z.object({}), output: z.object({ text: z.string() }), handler: () => ({ text: "${text}" }) });
`;
  await start({
    "src/main.ts": `import { createServer } from "node:http";
import { call, discover } from "../../../sdk/index.ts";
const registry = await discover(new URL("./procedures", import.meta.url));
createServer(async (_request, response) => {
  const all = await Promise.all([...registry.procedures.values()].map((one) => call(one, {})));
  response.end(all.map(({ text }) => text).join());
}).listen(process.env.PORT);
`,
    "src/procedures/a.ts": one("a", "a0"),
  });
  expect((await app.get()).text).toBe("a0");
  await app.edit("src/procedures/a.ts", one("a", "a1"));
  expect((await app.get()).text).toBe("a1");
  await app.edit("src/procedures/b.ts", one("b", "b0"));
  expect((await app.get()).text).toBe("a1,b0");
});

test("what cannot be loaded leaves the old code answering and names its line; the next good edit is live", async () => {
  await start();
  for (const [text, place] of [
    ["const fine = 1;\nconst broken = {;\n", "src/answer.ts:2"],
    ["export const other = 1;\n", "src/main.ts:2"],
    ["export const answer = null;\nthrow new Error('at the top');\n", "src/answer.ts:2"],
    ["import './not-there.ts';\nexport const answer = null;\n", "src/answer.ts"],
  ] as const) {
    expect(await app.edit("src/answer.ts", text)).toMatchObject({ kind: "broken", place });
    const { text: answer, headers } = await app.get();
    expect(answer).toBe("v0");
    expect(headers.get("tsdev-reload-error")).toContain(place);
  }
  // A file that comes into being can be the missing one.
  await app.edit("src/answer.ts", `import './not-there.ts';\n${answers("v1")}`);
  expect(await app.edit("src/not-there.ts", "export {};")).toMatchObject({ kind: "live" });
  const { text, headers } = await app.get();
  expect(text).toBe("v1");
  expect(headers.has("tsdev-reload-error")).toBe(false);
});

test("an app that does not load at first is said to, and served once it does", async () => {
  await start({ "src/answer.ts": "export const answer = {;" });
  const { status, text } = await app.get();
  expect(status).toBe(503);
  expect(JSON.parse(text)).toMatchObject({ code: "unavailable", message: expect.stringContaining("src/answer.ts:1") });
  await app.edit("src/answer.ts", answers("v1"));
  expect((await app.get()).text).toBe("v1");
});

test("only what an edit concerns is loaded again; what is kept is made once; onReload ends what an old module began", async () => {
  const main = (more: string) => `${server}
import { keep, onReload } from "../../../sdk/dev/index.ts";
import { state } from "./state.ts";
const counts = keep("counts", () => ({ made: 0 }));
counts.made += 1;
state.timers += 1;
onReload(() => { state.timers -= 1; });
globalThis.report = () => [counts.made, state.timers, state.loaded, import.meta.main].join();
declare global { var report: () => string; var loads: number }
${more}`;
  await start({
    "src/main.ts": main(""),
    "src/state.ts":
      "globalThis.loads = (globalThis.loads ?? 0) + 1;\nexport const state = { timers: 0, loaded: globalThis.loads };",
    "src/answer.ts": "export const answer = (_path, response) => response.end(globalThis.report());",
  });
  expect((await app.get()).text).toBe("1,1,1,true");
  await app.edit("src/main.ts", main("// one"));
  await app.edit("src/main.ts", main("// two"));
  expect((await app.get()).text).toBe("3,1,1,true");
  await app.edit("src/state.ts", "export const state = { timers: 0, loaded: 'anew' };");
  expect((await app.get()).text).toBe("4,1,anew,true");
});

test("a variable that changed takes a new process, and requests wait for it instead of being refused", async () => {
  await start({
    "src/answer.ts":
      'export const answer = (_path, response) => response.end([process.env.WORD, process.pid].join(" "));',
    ".env": "WORD=one\n",
  });
  const [word, first] = (await app.get()).text.split(" ");
  expect(word).toBe("one");
  const before = app.said.length;
  await app.write(".env", "WORD=two\n");
  await app.next(before, ({ kind }) => kind === "restart");
  const [later, second] = (await app.get()).text.split(" ");
  expect([later, second === first]).toEqual(["two", false]);
});

test("a file whose top-level await never ends does not keep later edits from being live", async () => {
  await start({
    "src/answer.ts": "export const answer = (_path, response) => response.end(String(globalThis.waits));",
  });
  const before = app.said.length;
  await app.write("src/answer.ts", `globalThis.waits = true;\nawait new Promise(() => {});\n${answers("never")}`);
  await expect.poll(async () => (await app.get()).text).toBe("true");
  await app.write("src/answer.ts", answers("v1"));
  await app.next(before, ({ kind }) => kind === "restart");
  expect((await app.get()).text).toBe("v1");
});

test("an app that ends by itself is started after the next edit", async () => {
  await start({ "src/answer.ts": "export const answer = () => process.exit(3);" });
  await app.get().catch(() => "cut off");
  await app.next(0, ({ kind }) => kind === "ended");
  await app.write("src/answer.ts", answers("again"));
  expect((await app.get()).text).toBe("again");
});

test("an edit in the moment in which a young app dies is not missed", async () => {
  const good = JSON.stringify(answers("mended"));
  const dies = `import { writeFileSync } from "node:fs";\nwriteFileSync(import.meta.filename, ${good});\nprocess.exit(3);\nexport const answer = null;\n`;
  await start({ "src/answer.ts": dies });
  await app.until(() => app.url !== "");
  expect((await app.get()).text).toBe("mended");
  expect(app.said[0]).toEqual({ kind: "ended", how: "exit code 3", waits: false });
});

test("an app that writes its own source as it was and dies is not started without end", async () => {
  const dies = `import { readFileSync, writeFileSync } from "node:fs";
writeFileSync(import.meta.filename, readFileSync(import.meta.filename));\nprocess.exit(3);\nexport const answer = null;\n`;
  await start({ "src/answer.ts": dies });
  await app.next(0, (said) => said.kind === "ended" && said.waits);
  await app.write("src/answer.ts", answers("mended"));
  await app.until(() => app.url !== "");
  expect((await app.get()).text).toBe("mended");
});

test("what cannot be started after an edit is started after the one that mends it", async () => {
  await start();
  await app.write("package.json", "{");
  await app.next(0, (said) => said.kind === "ended" && said.how.includes("not JSON"));
  await app.write("src/answer.ts", answers("mended"));
  await app.write("package.json", '{"type":"module"}');
  await app.next(0, ({ kind }) => kind === "live");
  expect((await app.get()).text).toBe("mended");
});

test("an upgraded connection reaches the app", async () => {
  await start({
    "src/main.ts": `import { createServer } from "node:http";
import { WebSocketServer } from "ws";
const server = createServer((request, response) => response.end("plain"));
new WebSocketServer({ server }).on("connection", (socket) => socket.on("message", (data) => socket.send("echo " + data)));
server.listen(process.env.PORT);`,
  });
  const socket = new WebSocket(app.url.replace("http", "ws"));
  await new Promise((resolve) => socket.once("open", resolve));
  const heard = new Promise((resolve) => socket.once("message", (data) => resolve(String(data))));
  socket.send("hi");
  expect(await heard).toBe("echo hi");
  socket.close();
});

test("killed -9 it leaves no process and no held port", async () => {
  await start({ "src/main.ts": `${server}\nsetInterval(() => {}, 1000);` });
  const { pid } = app;
  app.child.kill("SIGKILL");
  await gone(pid);
  const refused = await new Promise<string>((resolve) => {
    const socket = connect(Number(new URL(app.url).port), "127.0.0.1");
    socket.once("connect", () => resolve("connected"));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
  });
  expect(refused).toBe("ECONNREFUSED");
});

test("Ctrl-C ends it and the app with exit code 0", async () => {
  await start({
    "src/main.ts": `${server}\nprocess.on("SIGTERM", () => { console.log("draining"); process.exit(0); });`,
  });
  const ended = new Promise((resolve) => app.child.once("exit", (code) => resolve(code)));
  app.child.kill("SIGINT");
  expect(await ended).toBe(0);
  expect(app.output).toContain("draining");
  await gone(app.pid);
});
