// Source maps: a bundled app's frames point at what was bundled, and bundled libraries are not the app's.
import { rolldown } from "rolldown";
import { afterAll, expect, test } from "vitest";
import { appFolder, startApp } from "./app.fixture.ts";
import { startCollector } from "./collector.fixture.ts";
import { startUpstream } from "./upstream.fixture.ts";

const folder = appFolder();
afterAll(() => folder.remove());

const source = `import http from "node:http";
import { later } from "./library/node_modules/later/index.js";

interface Order { id: number }

async function load(order: Order): Promise<number> {
  const answer = await later(() => fetch(process.env.UPSTREAM + "/" + order.id)); // @call
  return answer.status;
}

const server = http.createServer(async (_request, response) => {
  for (const id of [1, 2]) await load({ id }); // @loop
  response.end();
});
server.listen(process.env.PORT, () => console.log("listening on " + (server.address() as { port: number }).port));
`;

test.each(["inline", true] as const)("a bundle with its map %s", async (sourcemap) => {
  folder.write(
    "src/library/node_modules/later/index.js",
    "export async function later(work) {\n\n  return await work();\n}\n",
  );
  const entry = folder.write("src/main.ts", source);
  const bundle = await rolldown({ input: entry, platform: "node" });
  await bundle.write({ dir: `${folder.path}/dist`, sourcemap, minify: true });
  await bundle.close();
  const [collector, upstream] = await Promise.all([startCollector(), startUpstream()]);
  const app = await startApp({
    file: `${folder.path}/dist/main.js`,
    cwd: folder.path,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, UPSTREAM: upstream.url },
  });
  try {
    await app.get("/");
    const span = await collector.until("the call", ({ spans }) => spans.find((one) => one.kind === 3));
    const frames = JSON.parse(String(span.attributes["tsdev.code.frames"])) as string[];
    const places = frames.map((frame) => frame.replace(/:[^:]*$/, ""));
    expect(places).toEqual([
      `src/main.ts:${folder.line("src/main.ts", "call")}`,
      `src/main.ts:${folder.line("src/main.ts", "call")}`,
      `src/main.ts:${folder.line("src/main.ts", "loop")}`,
    ]);
  } finally {
    await app.stop();
    await Promise.all([collector.leave(), upstream.stop()]);
  }
});
