// Benchmark: from the write of a source file to the first answer that shows it, `tsdev dev` against `node --watch` on the same app.
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DevelopedApp } from "../cli/dev/dev.fixture.ts";
import { type Measured, ratioOf } from "./measured.ts";

const edits = 40;
const modules = 30;
const limitMs = 20_000;

const answer = (text: string) => `export const text: string = "${text}";\n`;

/** An app as they are: the SDK, a procedure in each of its modules, and one text that all answers show. */
function files(): Record<string, string> {
  const names = Array.from({ length: modules }, (_, index) => `p${index}`);
  const one = (name: string) => `import { z } from "zod";
import { procedure } from "../../../sdk/index.ts";
import { text } from "./answer.ts";
export const ${name} = procedure({ name: "${name}", input: z.object({}), output: z.object({ text: z.string() }), handler: () => ({ text }) });
`;
  return {
    "src/answer.ts": answer("v0"),
    ...Object.fromEntries(names.map((name) => [`src/${name}.ts`, one(name)])),
    "src/main.ts": `import { createApp, serve } from "../../../sdk/http/index.ts";
import { text } from "./answer.ts";
${names.map((name) => `import { ${name} } from "./${name}.ts";`).join("\n")}
const app = createApp({ procedures: [${names.join(", ")}] });
app.get("/", (c) => c.text(text));
await serve(app, { drainMs: 0 });
`,
  };
}

/** Milliseconds from the write until the address answers with the text. */
async function timeOf(folder: string, url: string, text: string): Promise<number> {
  const begun = performance.now();
  await writeFile(join(folder, "src/answer.ts"), answer(text));
  for (;;) {
    const seen = await fetch(url)
      .then((response) => response.text())
      .catch(() => "");
    if (seen === text) return performance.now() - begun;
    if (performance.now() - begun > limitMs) throw new Error(`${url} never showed ${text}`);
    await sleep(1);
  }
}

export async function hotReload(): Promise<Measured[]> {
  const [ours, copy] = [await DevelopedApp.start(files()), await DevelopedApp.start(files())];
  // Of the second only the folder is used.
  copy.child.kill("SIGINT");
  const port = await freePort();
  const rival = spawn(process.execPath, ["--watch", "src/main.ts"], {
    cwd: copy.folder,
    env: { ...process.env, PORT: String(port), NODE_ENV: "development" },
    stdio: "ignore",
  });
  const taken = { ours: [] as number[], rival: [] as number[] };
  try {
    const rivalUrl = `http://localhost:${port}/`;
    for (const [folder, url] of [
      [ours.folder, ours.url],
      [copy.folder, rivalUrl],
    ] as const)
      await timeOf(folder, url, "warm-up");
    for (let edit = 0; edit < edits; edit++) {
      taken.ours.push(await timeOf(ours.folder, ours.url, `v${edit}`));
      taken.rival.push(await timeOf(copy.folder, rivalUrl, `v${edit}`));
      await sleep(50);
    }
  } finally {
    rival.kill("SIGTERM");
    await ours.end();
    await copy.end();
  }
  return [ratioOf({ name: "hot-reload", unit: "ms", rivalName: "node --watch", ...taken })];
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
