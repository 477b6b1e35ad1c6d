// The tutorial docs/tutorial/durable-workflow.md, followed as it stands: its files are written, its commands run, what it says they print is looked for.
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type PostgresFixture, startPostgres } from "../sdk/engine/postgres.fixture.ts";
import { childEnvironment, eventually, temporaryFolder } from "./platform.fixture.ts";

const root = join(import.meta.dirname, "..");
const page = join(root, "docs/tutorial/durable-workflow.md");
const databaseOfThePage = "postgres://postgres:flow@localhost:5432/postgres";

interface Block {
  language: string;
  text: string;
  /** What stands between the block before and this one. */
  prose: string;
  line: number;
}

let postgres: PostgresFixture;
let folder: string;
let app: string;
let port: number;

beforeAll(async () => {
  postgres = await startPostgres();
  folder = await temporaryFolder("tutorial");
  app = join(folder, "my-flow");
  port = await freePort();
});

afterAll(async () => {
  const pid = await readFile(join(app, "app.pid"), "utf8").catch(() => "");
  const command = pid === "" ? "" : await readFile(`/proc/${Number(pid)}/cmdline`, "utf8").catch(() => "");
  if (command.includes("src/main.ts")) process.kill(Number(pid), "SIGKILL");
  await rm(folder, { recursive: true, force: true });
  await postgres?.stop();
});

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  let end = 0;
  for (const match of text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)) {
    const line = text.slice(0, match.index).split("\n").length;
    blocks.push({ language: match[1]!, text: match[2]!, prose: text.slice(end, match.index), line });
    end = match.index + match[0].length;
  }
  return blocks;
}

/** The folder beside tsdev, the port and the database are this test's own; nothing else differs from the page. */
const here = (text: string) =>
  text
    .replaceAll("../my-flow", app)
    .replaceAll("localhost:3000", `localhost:${port}`)
    .replaceAll(databaseOfThePage, postgres.url);

/** Each line of a `text` block stands somewhere in the output; `…` is anything. */
function missing(expected: string, output: string): string[] {
  return expected
    .trim()
    .split("\n")
    .filter((line) => {
      const pattern = line
        .split("…")
        .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"))
        .join(".*");
      return !new RegExp(pattern).test(output);
    });
}

test("the tutorial can be followed from an empty folder to a run that survives kill -9", {
  timeout: 240_000,
}, async () => {
  const blocks = blocksOf(await readFile(page, "utf8"));
  expect(blocks.filter(({ language }) => language === "ts").length).toBeGreaterThan(2);
  const env = childEnvironment({ PORT: String(port), npm_config_prefer_offline: "true" });
  const logs: string[] = [];
  let cwd = root;
  let last: { text: string; output: () => Promise<string> } | undefined;

  async function run(text: string): Promise<string> {
    // The folder stays from one block to the next, as in a terminal.
    const program = `${text}\npwd > ${folder}/cwd`;
    if (/ & echo \$! > app\.pid/.test(text)) {
      const log = join(folder, `app-${logs.length}.log`);
      logs.push(log);
      const out = openSync(log, "w");
      const shell = spawn("bash", ["-c", program], { cwd, env, stdio: ["ignore", out, out] });
      await new Promise((resolve) => shell.once("exit", resolve));
      closeSync(out);
      return "";
    }
    const { all, exitCode } = await execa("bash", ["-ec", program], {
      cwd,
      env,
      extendEnv: false,
      all: true,
      reject: false,
    });
    expect(exitCode, all).toBe(0);
    cwd = (await readFile(join(folder, "cwd"), "utf8")).trim();
    return all;
  }

  for (const { language, text, prose, line } of blocks) {
    const where = `line ${line} of the tutorial`;
    if (language === "sh") {
      const command = here(text);
      // In the process's place there is nobody any more: its port is free, too.
      if (/^kill /m.test(text)) {
        await run(command);
        const pid = Number(await readFile(join(app, "app.pid"), "utf8"));
        await eventually("the app is gone", async () => !(await isAlive(pid)));
        last = undefined;
        continue;
      }
      const background = / & echo \$! > app\.pid/.test(text);
      const output = await run(command);
      const log = logs.at(-1);
      // What only looks may be asked again until it is so.
      const again = /^curl -sN? [^\n]*$/.test(text.trim()) && !/ -d /.test(text);
      last = {
        text,
        output: async () => (background ? readFile(log!, "utf8") : again ? run(command) : output),
      };
    } else if (language === "text") {
      expect(last, where).toBeDefined();
      const { output, text: command } = last!;
      let found = "";
      const all = await eventually(
        where,
        async () => {
          found = await output();
          return missing(here(text), found).length === 0;
        },
        /curl -sN? [^\n]*$/.test(command.trim()) || command.includes("app.pid") ? 45_000 : 0,
      ).catch(() => false);
      if (!all) expect(found, `${where}: ${command}`).toBe(here(text));
    } else {
      const file = [...prose.matchAll(/`\.\.\/my-flow\/([^`]+)`/g)].at(-1)?.[1];
      expect(file, `the file of the block in ${where}`).toBeDefined();
      await mkdir(dirname(join(app, file!)), { recursive: true });
      await writeFile(join(app, file!), here(text));
    }
  }

  const said = (await Promise.all(logs.map((log) => readFile(log, "utf8")))).join("\n");
  expect(said.match(/checking the expense/g)).toHaveLength(1);
  expect(said.match(/paying 4200 cents for lamps/g)).toHaveLength(2);
});

/** A process that ended and that nobody has waited for is no longer alive. */
async function isAlive(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) Z /.test(stat);
}
